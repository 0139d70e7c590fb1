package database

import (
	"context"
	"database/sql/driver"
	"testing"
)

type fakeConnector struct{ driver.Connector }

func (fakeConnector) Connect(context.Context) (driver.Conn, error) { return nil, nil }

// The lock of a migration belongs to its session: a second session would go on without it.
func TestALostSessionIsNotReplaced(t *testing.T) {
	t.Parallel()
	c := &onceConnector{Connector: fakeConnector{}}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Connect(t.Context()); !IsConnection(err) {
		t.Errorf("err = %v, want a lost connection", err)
	}
}
