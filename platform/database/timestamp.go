package database

import (
	"database/sql/driver"
	"fmt"
	"time"
)

// Timestamp is a time as every dialect stores it: UTC, to the microsecond. SQLite keeps it as text that sorts; PostgreSQL reads
// the same text into a timestamptz.
type Timestamp time.Time

const timestampLayout = "2006-01-02T15:04:05.000000Z"

// Time is the time, in UTC.
func (t Timestamp) Time() time.Time { return time.Time(t).UTC() }

// Value implements driver.Valuer.
func (t Timestamp) Value() (driver.Value, error) { return t.Time().Format(timestampLayout), nil }

// Scan implements sql.Scanner.
func (t *Timestamp) Scan(src any) error {
	switch v := src.(type) {
	case time.Time:
		*t = Timestamp(v.UTC())
		return nil
	case string:
		p, err := time.Parse(timestampLayout, v)
		*t = Timestamp(p)
		return err
	case []byte:
		return t.Scan(string(v))
	}
	return fmt.Errorf("scan timestamp: unexpected %T", src)
}
