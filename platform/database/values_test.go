package database_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// What is written as a literal is read back as it was, by every database.
func TestValues(t *testing.T) {
	t.Parallel()
	texts := []string{"", "plain", "no\xff\xfetext", "it's", `back\slash`, "ask?", "?0", "ünï 漢 👩‍🚀", "a\nb\tc", "''", "--", "/*", "$1", `"quoted"`, "; DROP TABLE log_head"}
	id := uuid.MustParse("0192f0c0-1234-7abc-8def-0123456789ab")
	at := database.Timestamp(time.Date(2026, 11, 22, 8, 0, 0, 123456000, time.UTC))
	for name, open := range map[string]func(testing.TB) *database.DB{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			bytes := func(column string) string {
				if db.Dialect == database.Postgres {
					column += "::bytea"
				}
				return column
			}
			v := database.NewValues(db.Read)
			if v.Len() != 0 || v.String() != "" {
				t.Errorf("an empty list has %d rows, %q", v.Len(), v)
			}
			for i, s := range texts {
				v.Row().Int(int64(i) - 1).Text(s).UUID(id).Time(at).Bytes([]byte{0, 1, '\'', 255}).Bytes(nil)
			}
			rs, err := db.Read.QueryContext(t.Context(), "SELECT column2, column3, column4, "+bytes("column5")+", "+bytes("column6")+" FROM (VALUES "+v.String()+") AS v ORDER BY column1")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rs.Close() }()
			var got []string
			for rs.Next() {
				var s, gotID string
				var gotAt database.Timestamp
				var b, none []byte
				if err := rs.Scan(&s, &gotID, &gotAt, &b, &none); err != nil {
					t.Fatal(err)
				}
				got = append(got, s)
				if gotID != id.String() || gotAt != at || none != nil || !(string(b) == "\x00\x01'\xff") {
					t.Errorf("got %s, %v, %x, %v", gotID, gotAt, b, none)
				}
			}
			want := make([]string, len(texts))
			for i, s := range texts {
				want[i] = string([]rune(s)) // what is no text is made one
			}
			if diff := cmp.Diff(want, got); diff != "" || rs.Err() != nil {
				t.Errorf("%v (-want +got):\n%s", rs.Err(), diff)
			}
		})
	}
}

func TestValuesNeverLetATextOut(t *testing.T) {
	t.Parallel()
	v := database.NewValues(dbtest.SQLite(t).Read)
	v.Row().Text("a\x00' OR 1")
	if strings.Contains(v.String(), "OR") {
		t.Errorf("a text with a zero byte became %s", v)
	}
}

// FuzzArrays sends rows through PostgreSQL as arrays, the way in which everything is stored: a text comes back as it was, and
// never as anything else than a text.
func FuzzArrays(f *testing.F) {
	for _, s := range []string{
		"", "plain", "it's", `back\slash`, `\`, `\\`, `\'`, `'\`, `"`, `\"`, `","`, `","',"`, `}'`, "}','{", "NULL", "null", " ", "{}", "ask?", "?0", "$1", "''", "--", "/*",
		"ünï 漢 👩‍🚀", "\ufeff", "a\nb\tc\r\v", "\xff\xfe", "a\xc0'b", "a\x00' OR 1", `E'\047`, "; DROP TABLE log_head", "'); COMMIT; --",
	} {
		f.Add(s, "next", []byte(s), int64(len(s)))
		f.Add("before", s, []byte(nil), int64(math.MinInt64))
	}
	db := dbtest.Postgres(f)
	conn, err := db.Write.Conn(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close() })
	statement := database.Statement{Name: "fuzz", Text: `(text[], bigint[], bytea[], uuid[], text[]) AS SELECT * FROM unnest($1, $2, $3, $4, $5)`}
	f.Fuzz(func(t *testing.T, a, b string, blob []byte, n int64) {
		type row struct {
			A, B string
			Blob []byte
			N    int64
			ID   uuid.UUID
		}
		want := []row{{a, b, blob, n, uuid.Max}, {b, a, nil, -n, uuid.Nil}, {a + b, b + a, append(blob, a...), n, uuid.Max}}
		v := database.NewArrays(conn, 5)
		for _, r := range want {
			v.Row().Text(r.A).Int(r.N).Bytes(r.Blob).UUID(r.ID).Text(r.B)
		}
		text, kept, err := database.Keep(conn, statement)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := conn.QueryContext(t.Context(), text+statement.Execute(v.String()))
		if strings.Contains(a+b, "\x00") {
			if err == nil {
				_ = rs.Close()
				t.Fatalf("a zero byte went through in %s", v)
			}
			return
		}
		if err != nil {
			t.Fatalf("%v in %s", err, v)
		}
		defer func() { _ = rs.Close() }()
		var got []row
		for rs.Next() {
			var r row
			if err := rs.Scan(&r.A, &r.N, &r.Blob, &r.ID, &r.B); err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		if rs.Err() != nil {
			t.Fatal(rs.Err())
		}
		kept()
		for i := range want { // what is no text is made one, as a VALUES list does it
			want[i].A, want[i].B = string([]rune(want[i].A)), string([]rune(want[i].B))
		}
		same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
		if diff := cmp.Diff(want, got, cmp.Comparer(same)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v, diff)
		}
	})
}
