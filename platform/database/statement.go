package database

import (
	"fmt"

	"github.com/uptrace/bun"
)

// Statement is a statement that PostgreSQL parses and plans once for a session instead of each time: for those that every command
// needs. It is told by name in the text of a message, so that it can go with others, a COMMIT among them; what the drivers call a
// prepared statement takes a message of its own.
type Statement struct {
	Name string // of its own in the whole program
	Text string // "(types) AS statement"
}

// Execute is the text that runs s with the arguments, as they are written in SQL, in a session that keeps it.
func (s Statement) Execute(args string) string { return "EXECUTE " + s.Name + "(" + args + ")" }

// Keep is text to go before others in a message on conn, a connection of [DB.Write], so that its session keeps the statements.
// Call kept when the message has succeeded.
func Keep(conn bun.Conn, statements ...Statement) (text string, kept func(), err error) {
	err = conn.Raw(func(c any) error {
		session, ok := c.(*writeConn)
		if !ok {
			return fmt.Errorf("keep statements: a %T cannot", c)
		}
		kept = func() {
			for _, s := range statements {
				session.keeps[s.Name] = true
			}
		}
		for _, s := range statements {
			if !session.keeps[s.Name] {
				text += "PREPARE " + s.Name + " " + s.Text + "; "
			}
		}
		return nil
	})
	return text, kept, err
}
