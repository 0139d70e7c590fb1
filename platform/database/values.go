package database

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"
)

// Values writes rows as literals, for statements of so many that filling in placeholders would cost more than the rest: as the list
// of a VALUES clause, as the dialect spells it, or as PostgreSQL's arrays, one for each column. Hand the statement to bun without
// arguments. It belongs to one goroutine.
type Values struct {
	dialect schema.Dialect
	arrays  bool
	columns [][]byte // arrays, or one VALUES list, so far
	rows    int
	at      int   // the next value's column
	err     error // why the rows cannot be written
}

// NewValues is an empty VALUES list for statements on db.
func NewValues(db bun.IDB) *Values { return &Values{dialect: db.Dialect(), columns: make([][]byte, 1)} }

// NewArrays is so many empty arrays, for statements on db, a PostgreSQL, that unnest them.
func NewArrays(db bun.IDB, columns int) *Values {
	return &Values{dialect: db.Dialect(), arrays: true, columns: make([][]byte, columns)}
}

// Literal is a text as it stands in a statement on db.
func Literal(db bun.IDB, s string) string { return string(db.Dialect().AppendString(nil, s)) }

// Len is the number of rows.
func (v *Values) Len() int { return v.rows }

// String is the list, "(1,'a'),(2,'b')", or the arrays, "'{1,2}','{"a","b"}'".
func (v *Values) String() string {
	switch {
	case v.err != nil:
		return string(dialect.AppendError(nil, v.err)) // as bun does: text that no statement can be made of
	case v.arrays:
		return "'{" + string(bytes.Join(v.columns, []byte("}','{"))) + "}'"
	case v.rows == 0:
		return ""
	}
	return string(v.columns[0]) + ")"
}

// Row begins the next row.
func (v *Values) Row() *Values {
	if !v.arrays {
		if v.rows > 0 {
			v.columns[0] = append(v.columns[0], "),"...)
		}
		v.columns[0] = append(v.columns[0], '(')
	}
	v.rows++
	v.at = 0
	return v
}

// next is where the next value of the row goes.
func (v *Values) next() *[]byte {
	text, follows := &v.columns[0], v.at > 0
	if v.arrays {
		text, follows = &v.columns[v.at], v.rows > 1
	}
	v.at++
	if follows {
		*text = append(*text, ',')
	}
	return text
}

// quote appends a text that has nothing in it to escape.
func (v *Values) quote(text []byte, s string) []byte {
	mark := byte('\'')
	if v.arrays {
		mark = '"'
	}
	text = append(text, mark)
	text = append(text, s...)
	return append(text, mark)
}

var errNul = errors.New("a text has a zero byte")

// Text adds a text.
func (v *Values) Text(s string) *Values {
	text := v.next()
	plain := utf8.ValidString(s)
	if strings.IndexByte(s, 0) >= 0 {
		v.err = errNul
	}
	switch {
	case v.arrays:
		if !plain {
			s = string([]rune(s)) // as bun's dialects do it, so that both spell a key alike
		}
		if strings.ContainsAny(s, `\"'`) {
			s = inArray.Replace(s)
		}
		*text = v.quote(*text, s)
	case plain && strings.IndexByte(s, '\'') < 0:
		*text = v.quote(*text, s)
	default:
		*text = v.dialect.AppendString(*text, s)
	}
	return v
}

// inArray escapes for the array, then for the literal that the array is.
var inArray = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `''`)

// Int adds a whole number.
func (v *Values) Int(n int64) *Values {
	text := v.next()
	*text = strconv.AppendInt(*text, n, 10)
	return v
}

// UUID adds a UUID as text.
func (v *Values) UUID(id uuid.UUID) *Values {
	text := v.next()
	*text = v.quote(*text, id.String())
	return v
}

// Time adds a time as text.
func (v *Values) Time(t Timestamp) *Values {
	text := v.next()
	*text = v.quote(*text, t.Time().Format(timestampLayout))
	return v
}

// Bytes adds bytes; nil is NULL.
func (v *Values) Bytes(b []byte) *Values {
	text := v.next()
	switch {
	case !v.arrays:
		*text = v.dialect.AppendBytes(*text, b)
	case b == nil:
		*text = append(*text, "NULL"...)
	default:
		*text = append(*text, `"\\x`...)
		*text = hex.AppendEncode(*text, b)
		*text = append(*text, '"')
	}
	return v
}
