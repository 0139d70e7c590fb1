package database_test

import (
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
	texts := []string{"", "plain", "it's", `back\slash`, "ask?", "?0", "ünï 漢 👩‍🚀", "a\nb\tc", "''", "--", "/*", "$1", `"quoted"`, "; DROP TABLE log_head"}
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
			if diff := cmp.Diff(texts, got); diff != "" || rs.Err() != nil {
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
