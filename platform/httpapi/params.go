package httpapi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"accession/platform/event"
	"accession/platform/problem"
)

// ParseID reads the id in a path into id. One that is malformed names nothing, so it is notFound, as one that nobody has is:
// declare the parameter as a plain string.
func ParseID[K event.Thing](id *event.ID[K], s string, notFound *problem.Error) error {
	if id.UnmarshalText([]byte(s)) != nil || id.IsZero() {
		return notFound
	}
	return nil
}

// GivenID reads the id that a client gave in a body for what it creates into id, and leaves id alone when it gave none. A
// malformed one is an Invalid error at location, and so is the nil UUID (RFC 9562, section 5.9).
func GivenID[K event.Thing](id *event.ID[K], given *string, location string) error {
	if given == nil {
		return nil
	}
	if id.UnmarshalText([]byte(*given)) != nil {
		return problem.InvalidField(location, *given, "is not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx: leave it out to have one drawn")
	}
	if id.IsZero() {
		return problem.InvalidField(location, *given, "is the nil UUID, which names nothing: leave it out to have one drawn")
	}
	return nil
}

// Paging is embedded in the input of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many items to answer with at most."`
	Cursor string `query:"cursor" doc:"Where to go on: next, from the answer before. It works only in the list that it is from."`
}

// Consistency is embedded in the input of a route that can wait for what was written to become readable.
type Consistency struct {
	// MinPosition is how much of the log the answer must know; 0: any will do.
	MinPosition event.Position `header:"Accession-Min-Position" minimum:"0" doc:"Answer only when everything up to this position of the log is readable: the Accession-Position of a write."`
	Prefer      Prefer         `header:"Prefer" example:"wait=5" doc:"wait=N: wait up to N seconds, at most 30. Other preferences (RFC 7240) are ignored."`
}

// MaxWait is the longest that a client may ask to wait.
const MaxWait = 30 * time.Second

// Wait is how long the client is ready to wait: what it said, else otherwise.
func (c Consistency) Wait(otherwise time.Duration) time.Duration {
	if c.Prefer.said {
		return c.Prefer.wait
	}
	return otherwise
}

// Prefer is a Prefer header (RFC 7240), of which only wait means something here. The zero Prefer says nothing.
type Prefer struct {
	wait time.Duration
	said bool
}

// UnmarshalText reads the value of the header.
func (p *Prefer) UnmarshalText(b []byte) error {
	for _, preference := range split(string(b), ',') {
		token := split(preference, ';')[0] // the rest are parameters; wait has none
		name, value, _ := strings.Cut(token, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 32)
		if err != nil {
			return errors.New("wait must be a number of seconds: wait=5")
		}
		if n > uint64(MaxWait/time.Second) {
			return fmt.Errorf("wait must be %d seconds or less", MaxWait/time.Second)
		}
		p.wait, p.said = time.Duration(n)*time.Second, true
		return nil // of several, the first counts (RFC 7240, section 2)
	}
	return nil
}

// split cuts s at each sep that is not within double quotes. There is always one part.
func split(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts, start = append(parts, s[start:i]), i+1
		}
	}
	return append(parts, s[start:])
}

// Anonymous is the actor of a request that names none.
const Anonymous = "anonymous"

// maxActor is how many characters the name of an actor may have.
const maxActor = 200

// Actor is embedded in the input of a write.
type Actor struct {
	XActor ActorName `header:"X-Actor" doc:"Who asks: up to 200 printable characters, recorded with every event, not verified."`
}

// Who is the actor as the client named it, or [Anonymous].
func (a Actor) Who() string {
	if a.XActor.name == "" {
		return Anonymous
	}
	return a.XActor.name
}

// ActorName is the value of X-Actor. The zero ActorName is nobody's.
type ActorName struct{ name string }

// UnmarshalText reads the value of the header: printable characters in UTF-8.
func (a *ActorName) UnmarshalText(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("must be UTF-8")
	}
	if utf8.RuneCount(b) > maxActor {
		return fmt.Errorf("must be %d characters or fewer", maxActor)
	}
	for _, r := range string(b) {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("must be printable, but has %U", r)
		}
	}
	a.name = string(b)
	return nil
}
