package database

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Values writes the list of a VALUES clause, row by row, as the dialect spells it: for statements of so many rows that filling
// in placeholders would cost more than the rest. Everything in it is a literal; hand the statement to bun without arguments. It
// belongs to one goroutine.
type Values struct {
	dialect schema.Dialect
	text    []byte
	rows    int
	fresh   bool // the row has no value yet
}

// NewValues is an empty list for statements on db.
func NewValues(db bun.IDB) *Values { return &Values{dialect: db.Dialect()} }

// Literal is a text as it stands in a statement on db.
func Literal(db bun.IDB, s string) string { return string(db.Dialect().AppendString(nil, s)) }

// Len is the number of rows.
func (v *Values) Len() int { return v.rows }

// String is the list: "(1,'a'),(2,'b')".
func (v *Values) String() string {
	if v.rows == 0 {
		return ""
	}
	return string(v.text) + ")"
}

// Row begins the next row.
func (v *Values) Row() *Values {
	if v.rows > 0 {
		v.text = append(v.text, "),"...)
	}
	v.text = append(v.text, '(')
	v.rows++
	v.fresh = true
	return v
}

func (v *Values) next() {
	if !v.fresh {
		v.text = append(v.text, ',')
	}
	v.fresh = false
}

// Text adds a text.
func (v *Values) Text(s string) *Values {
	v.next()
	if strings.IndexByte(s, '\'') < 0 && strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		v.text = append(v.text, '\'')
		v.text = append(v.text, s...)
		v.text = append(v.text, '\'')
	} else {
		v.text = v.dialect.AppendString(v.text, s)
	}
	return v
}

// Int adds a whole number.
func (v *Values) Int(n int64) *Values {
	v.next()
	v.text = strconv.AppendInt(v.text, n, 10)
	return v
}

// UUID adds a UUID as text.
func (v *Values) UUID(id uuid.UUID) *Values { return v.Text(id.String()) }

// Time adds a time as text.
func (v *Values) Time(t Timestamp) *Values {
	v.next()
	v.text = append(v.text, '\'')
	v.text = t.Time().AppendFormat(v.text, timestampLayout)
	v.text = append(v.text, '\'')
	return v
}

// Bytes adds bytes; nil is NULL.
func (v *Values) Bytes(b []byte) *Values {
	v.next()
	v.text = v.dialect.AppendBytes(v.text, b)
	return v
}
