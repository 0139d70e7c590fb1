package web

import (
	"html/template"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Funcs are what every template can call besides the functions of package html/template.
var Funcs = template.FuncMap{
	"asset": AssetPath,
	"count": Count,
	"field": field,
	"lang":  Lang,
	"when":  when,
	"stamp": stamp,
}

// Count writes n of a thing: "1 book", "1,848 books". Many is the plural.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Thousands(n) + " " + many
}

// Thousands writes n with a comma between each three digits.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Lang is s if it has the form of a language tag (BCP 47), else "", which is how HTML says that the language is unknown.
func Lang(s string) string {
	if !languageTag.MatchString(s) {
		return ""
	}
	return s
}

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$`)

// field is the last part of a location such as "query.from": what the reader can see in the address.
func field(location string) string { return location[strings.LastIndex(location, ".")+1:] }

// when writes a time for people, in UTC: "2 November 2026, 14:03 UTC".
func when(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// stamp writes a time for the datetime attribute.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
