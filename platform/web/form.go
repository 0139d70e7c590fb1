package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"accession/platform/problem"
)

// Form is a form as it stands on a page. A template shows it with {{template "form" .}}. It works without JavaScript: it is
// sent with POST, and what is wrong comes back as the page with the same form, what was typed still in it.
type Form struct {
	Action string            // the path that it is sent to, on this server
	Hidden map[string]string // sent with it, and not shown
	Inputs []Input
	Submit string // what the button says: "Add the book"
	Back   string // where to go instead
	Wrong  string // what is wrong with all of it, in a sentence; "" for nothing
}

// Input is one thing to fill in.
type Input struct {
	Name, Label string
	Help        string   // a sentence about what is expected; "" for none
	Value       string   // what is in it: what is there at present, or what was typed
	Lines       int      // more than one: a box of that many lines
	Options     []Option // when set, one of them is chosen
	Max         int      // how many characters it may have; 0 says nothing
	Required    bool
	Keyboard    string // which one a telephone shows: "numeric"; "" for letters
	Lang        string // the language of Value, if it is known
	Wrong       string // what is wrong with it, in a sentence; "" for nothing
	Present     string // after somebody else's change: what is there now
	Changed     bool   // whether Present says something
}

// Option is one of those that can be chosen.
type Option struct{ Value, Label string }

// Fill puts what was typed into the inputs.
func (f *Form) Fill(typed func(name string) string) {
	for i := range f.Inputs {
		f.Inputs[i].Value = typed(f.Inputs[i].Name)
	}
}

// Input is the input with the name; nil when there is none.
func (f *Form) Input(name string) *Input {
	i := slices.IndexFunc(f.Inputs, func(in Input) bool { return in.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Inputs[i]
}

// Blame says at the inputs what err says is wrong with them. A location is an input's if it ends with its name, an index aside
// ("book.authors[2]" is that of "authors"); what belongs to none, and an error that names no field, is said above the form.
func (f *Form) Blame(err *problem.Error) {
	if len(err.Fields) == 0 {
		f.Wrong = err.Message
		return
	}
	var rest []string
	for _, w := range err.Fields {
		name, index, _ := strings.Cut(field(w.Location), "[")
		message := w.Message
		if index != "" {
			message = "has a line that " + message
		}
		if in := f.Input(name); in == nil {
			rest = append(rest, w.Location+" "+w.Message+".")
		} else if in.Wrong == "" { // one thing at a time
			in.Wrong = in.Label + " " + message + "."
		}
	}
	f.Wrong = strings.Join(rest, " ")
	if f.Wrong == "" {
		f.Wrong = SeeBelow
	}
}

// SeeBelow is said above a form when what is wrong is said at its inputs.
const SeeBelow = "Nothing is stored yet: something below is not right."

// Faulty reports whether there is anything wrong with the input.
func (i Input) Faulty() bool { return i.Wrong != "" }

// Described is what else on the page is about the input: the ids for its aria-describedby.
func (i Input) Described() string {
	var ids []string
	for _, d := range []struct {
		is bool
		id string
	}{{i.Help != "", "-help"}, {i.Wrong != "", "-wrong"}, {i.Changed, "-present"}} {
		if d.is {
			ids = append(ids, "in-"+i.Name+d.id)
		}
	}
	return strings.Join(ids, " ")
}

// ReadForm reads a form that was sent. Its error is a *problem.Error: TooLarge, or Malformed when it cannot be read.
func ReadForm(r *http.Request) error {
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem.New(problem.TooLarge, "", "That is more than this server takes at once: %d bytes at most.", tooLarge.Limit)
	case err != nil:
		return problem.New(problem.Malformed, "", "The form did not arrive in one piece. Go back and send it again.").Because(err)
	}
	return nil
}
