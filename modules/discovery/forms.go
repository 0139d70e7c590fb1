package discovery

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/modules/library/libraryevents"
	"accession/platform/consistency"
	"accession/platform/event"
	"accession/platform/httpapi"
	"accession/platform/problem"
	"accession/platform/usecase"
	"accession/platform/web"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
)

// form is a page on which people change something. It is shown on GET; on POST it asks for one command, the same as the API
// would, and then the reader is sent to the thing. When that is refused the form is shown again, with what was typed and why.
type form struct {
	path   string // of the page, and what it is sent to
	kind   string // of the thing that the path names; "" when it names none
	title  string
	lead   string // what happens then; "" when it is plain
	submit string

	// makes says that something new comes of it. Its id is in the form, so that a form sent twice makes one thing.
	// Other forms change the thing in the path: the version that was shown is in them, and a name for the request, to the same end.
	makes  bool
	inputs func(ctx context.Context, db bun.IDB, way line) ([]web.Input, error)
	// ask gives the command, and the thing to show when it is done.
	ask func(s *sent) (command, event.Tag)
}

// command is what a form asks for.
type command interface {
	Request(actor string) usecase.Request
}

// sent is a form as it came in.
type sent struct {
	id    string    // of the thing in the path
	fresh uuid.UUID // of the thing that is made
	seen  int       // the version that was shown; 0 when that is not known
	typed url.Values
	wrong problem.Fields // what cannot be made a command of

	misread problem.Fields // what is not what it should be, and stands in the command as something that it refuses, among what else is wrong
}

func (s *sent) text(name string) string { return s.typed.Get(name) }

// lines are the lines of a box; empty ones do not count.
func (s *sent) lines(name string) []string {
	lines := []string{}
	for l := range strings.Lines(s.typed.Get(name)) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// year is nil for none.
func (s *sent) year() *int {
	typed := strings.TrimSpace(s.typed.Get("year"))
	if typed == "" {
		return nil
	}
	n, err := strconv.Atoi(typed)
	if err != nil || n == 0 {
		s.misread.Add("year", "is not a year: write it in digits, as 1813")
		n = -1
	}
	return &n
}

func (s *sent) imprint() editions.Imprint {
	return editions.Imprint{ISBN: s.text("isbn"), Publisher: s.text("publisher"), Year: s.year(), Language: s.text("language"), Format: s.text("format")}
}

func (s *sent) book() catalogue.AddBook {
	return catalogue.AddBook{
		ID: catalogueevents.NewBookID(), Title: s.text("title"), Authors: s.lines("authors"),
		Edition: catalogue.FirstEdition{ID: editionsevents.NewEditionID(), Imprint: s.imprint()},
	}
}

// forms are all of them.
var forms = []form{
	{
		path: "/libraries/new", makes: true, title: "Open a library", submit: "Open the library",
		inputs: func(context.Context, bun.IDB, line) ([]web.Input, error) { return []web.Input{nameInput("")}, nil },
		ask: func(s *sent) (command, event.Tag) {
			c := library.OpenLibrary{ID: libraryevents.LibraryID(s.fresh), Name: s.text("name")}
			return c, c.ID.Tag()
		},
	},
	{
		path: "/libraries/{id}/edit", kind: kindLibrary, title: "Rename the library", submit: "Rename it", inputs: renameInputs,
		ask: func(s *sent) (command, event.Tag) {
			c := library.RenameLibrary{Seen: s.seen, Name: s.text("name")}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/libraries/{id}/categories/new", kind: kindLibrary, makes: true, title: "Create a category", submit: "Create the category",
		lead: "A category comes with its first book, and that with its first edition.",
		inputs: func(context.Context, bun.IDB, line) ([]web.Input, error) {
			name := nameInput("")
			name.Label = "Name of the category"
			return append(append([]web.Input{name}, bookInputs(entry{})...), imprintInputs(entry{})...), nil
		},
		ask: func(s *sent) (command, event.Tag) {
			c := library.CreateCategory{ID: libraryevents.CategoryID(s.fresh), Name: s.text("name"), Book: s.book()}
			_ = c.Library.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/categories/{id}/edit", kind: kindCategory, title: "Rename the category", submit: "Rename it", inputs: renameInputs,
		ask: func(s *sent) (command, event.Tag) {
			c := library.RenameCategory{Seen: s.seen, Name: s.text("name")}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/categories/{id}/withdraw", kind: kindCategory, title: "Withdraw the category", submit: "Withdraw it", inputs: reasonInputs,
		lead: "Only a category in which no book is any more can be withdrawn. Its number is not given again.",
		ask: func(s *sent) (command, event.Tag) {
			c := library.WithdrawCategory{Seen: s.seen, Reason: s.text("reason")}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/categories/{id}/books/new", kind: kindCategory, makes: true, title: "Add a book", submit: "Add the book",
		lead: "A book comes with its first edition.",
		inputs: func(context.Context, bun.IDB, line) ([]web.Input, error) {
			return append(bookInputs(entry{}), imprintInputs(entry{})...), nil
		},
		ask: func(s *sent) (command, event.Tag) {
			c := s.book()
			c.ID = catalogueevents.BookID(s.fresh)
			_ = c.Category.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/books/{id}/edit", kind: kindBook, title: "Correct the book", submit: "Correct it",
		inputs: func(_ context.Context, _ bun.IDB, way line) ([]web.Input, error) { return bookInputs(way.last()), nil },
		ask: func(s *sent) (command, event.Tag) {
			title, authors := s.text("title"), s.lines("authors")
			c := catalogue.CorrectBook{Seen: s.seen, Title: &title, Authors: &authors}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/books/{id}/move", kind: kindBook, title: "Move the book", submit: "Move it", inputs: moveInputs,
		lead: "It gets a new number there. What is printed on its label now still finds it.",
		ask: func(s *sent) (command, event.Tag) {
			c := catalogue.MoveBook{Seen: s.seen}
			_ = c.ID.UnmarshalText([]byte(s.id))
			if c.To.UnmarshalText([]byte(s.text("category_id"))) != nil {
				s.wrong.Add("category_id", "is not chosen")
			}
			return c, c.ID.Tag()
		},
	},
	{
		path: "/books/{id}/withdraw", kind: kindBook, title: "Withdraw the book", submit: "Withdraw it", inputs: reasonInputs,
		lead: "All of its editions are withdrawn with it. Their numbers are not given again.",
		ask: func(s *sent) (command, event.Tag) {
			c := catalogue.WithdrawBook{Seen: s.seen, Reason: s.text("reason")}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/books/{id}/editions/new", kind: kindBook, makes: true, title: "Add an edition", submit: "Add the edition",
		inputs: func(ctx context.Context, db bun.IDB, way line) ([]web.Input, error) {
			base, err := baseInput(ctx, db, way)
			return append([]web.Input{base}, imprintInputs(entry{})...), err
		},
		ask: func(s *sent) (command, event.Tag) {
			c := editions.AddEdition{ID: editionsevents.EditionID(s.fresh), Imprint: s.imprint()}
			_ = c.Book.UnmarshalText([]byte(s.id))
			if c.Base.UnmarshalText([]byte(s.text("base_edition_id"))) != nil {
				s.wrong.Add("base_edition_id", "is not chosen")
			}
			return c, c.ID.Tag()
		},
	},
	{
		path: "/editions/{id}/edit", kind: kindEdition, title: "Correct the edition", submit: "Correct it",
		inputs: func(_ context.Context, _ bun.IDB, way line) ([]web.Input, error) {
			return imprintInputs(way.last()), nil
		},
		ask: func(s *sent) (command, event.Tag) {
			i := s.imprint()
			if i.Year == nil {
				i.Year = new(int) // which clears it
			}
			c := editions.CorrectEdition{Seen: s.seen, Imprint: editions.Correction{
				ISBN: &i.ISBN, Publisher: &i.Publisher, Language: &i.Language, Format: &i.Format, Year: i.Year,
			}}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
	{
		path: "/editions/{id}/withdraw", kind: kindEdition, title: "Withdraw the edition", submit: "Withdraw it", inputs: reasonInputs,
		lead: "Its number is not given again. A book keeps at least one edition: to be rid of the last, withdraw the book.",
		ask: func(s *sent) (command, event.Tag) {
			c := editions.WithdrawEdition{Seen: s.seen, Reason: s.text("reason")}
			_ = c.ID.UnmarshalText([]byte(s.id))
			return c, c.ID.Tag()
		},
	},
}

// formBody is what templates/form.html shows.
type formBody struct {
	Heading, Lead string
	Subject       *card // what the form is about; nil for nothing
	Form          web.Form
}

// open shows the form as it is before anything is typed.
func (f form) open(d desk) func(*http.Request) (web.Page, error) {
	return func(r *http.Request) (web.Page, error) {
		p, _, err := f.page(d, r, false)
		return p, err
	}
}

// send asks for what the form says.
func (f form) send(d desk) func(*http.Request) (web.Page, error) {
	return func(r *http.Request) (web.Page, error) {
		if err := web.ReadForm(r); err != nil {
			return web.Page{}, err
		}
		s := &sent{typed: r.PostForm}
		if f.kind != "" {
			tag, err := tagOf(f.kind, r.PathValue("id"))
			if err != nil {
				return web.Page{}, err
			}
			s.id = tag.ID()
		}
		fresh, err := uuid.Parse(s.text("id"))
		if err != nil || fresh == uuid.Nil {
			fresh = uuid.Must(uuid.NewV7())
		}
		s.fresh = fresh
		s.seen, _ = strconv.Atoi(s.text("seen")) // 0 asks for no check, as a client of the API may
		var who httpapi.Actor
		s.wrong.Check("actor", who.XActor.UnmarshalText([]byte(strings.TrimSpace(s.text("actor")))))
		cmd, thing := f.ask(s)
		err = s.wrong.Err()
		var receipt usecase.Receipt
		if err == nil {
			req := cmd.Request(who.Who())
			if token, wrong := uuid.Parse(s.text("token")); wrong == nil && !f.makes {
				req.Token = usecase.Token{Key: token.String(), Fingerprint: usecase.Fingerprint(r.URL.Path, s.typed)}
			}
			if receipt, err = d.runner.Run(r.Context(), req); errors.Is(err, consistency.ErrTokenReused) { // sent, and changed after that
				req.Token = usecase.Token{}
				receipt, err = d.runner.Run(r.Context(), req)
			}
			err = problem.Join(s.misread.Err(), err)
		}
		if err != nil {
			return f.again(d, r, s, err)
		}
		to := pathOf(thing)
		if receipt.Position > 0 {
			to += "?at=" + strconv.FormatInt(int64(receipt.Position), 10)
		}
		return web.Page{Goto: to}, nil
	}
}

// again shows the form that was sent once more, and says why.
func (f form) again(d desk, r *http.Request, s *sent, err error) (web.Page, error) {
	p, now, lost := f.page(d, r, true)
	if lost != nil { // there is nothing any more that it could be about
		return p, lost
	}
	p.Wrong = err
	e := problem.Of(err)
	body := p.Body.(formBody)
	at := &body.Form
	present := map[string]string{}
	for _, in := range at.Inputs {
		present[in.Name] = in.Value
	}
	at.Fill(s.text)
	if f.makes {
		at.Hidden["id"] = s.fresh.String()
	} else {
		at.Hidden["seen"], at.Hidden["token"] = strconv.Itoa(s.seen), s.text("token")
	}
	about := at.Input(culprits[e.CodeOrKind()])
	switch {
	case e.Kind == problem.Stale || errors.Is(err, consistency.ErrVersionConflict):
		at.Wrong = "Somebody else has changed this since you opened the form, and nothing of yours is stored yet. What you typed is still here, " +
			"and next to it what is there now. Send the form again to put yours in its place, or leave it."
		at.Hidden["seen"] = strconv.Itoa(now)
		for i, in := range at.Inputs {
			if in.Name != "actor" && in.Name != "reason" && in.Options == nil && same(in.Value) != same(present[in.Name]) {
				at.Inputs[i].Present, at.Inputs[i].Changed = present[in.Name], true
			}
		}
	case errors.Is(err, consistency.ErrIDTaken):
		at.Wrong = "This form was sent before, with something else in it, and what it said then is in the catalogue. Send it again only if " +
			"you want what it says now besides that."
		at.Hidden["id"] = uuid.Must(uuid.NewV7()).String()
	case errors.Is(err, consistency.ErrTokenInUse):
		at.Wrong = "This form was sent a moment ago and is still being stored. Send it again in a moment: it has one effect."
	case e.Kind == problem.Unavailable:
		at.Wrong = e.Message + " What you typed is still here: send it again in a moment."
	case about != nil && len(e.Fields) == 0:
		at.Wrong, about.Wrong = web.SeeBelow, e.Message
	default:
		at.Blame(e)
	}
	p.Title = "Not yet: " + p.Title
	p.Body = body
	return p, nil
}

// same is a value without what a browser may do to it.
func same(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }

// culprits are the inputs that refusals are about, by their codes.
var culprits = map[string]string{
	library.ErrCategoryNameTaken.Code:    "name",
	editions.ErrISBNTaken.Code:           "isbn",
	editions.ErrBaseEditionNotFound.Code: "base_edition_id",
	catalogue.ErrTargetNotFound.Code:     "category_id",
}

// page is the page with the form, and the version of the thing that it is about. What was withdrawn cannot be changed and has no
// form, but one that was sent is shown.
func (f form) page(d desk, r *http.Request, sent bool) (web.Page, int, error) {
	var tag event.Tag
	if f.kind != "" {
		var err error
		if tag, err = tagOf(f.kind, r.PathValue("id")); err != nil {
			return web.Page{}, 0, err
		}
	}
	p := web.Page{Template: "form", Title: f.title}
	var version int
	err := d.see(r, &p, func(ctx context.Context, db bun.IDB) error {
		way, err := trace(ctx, db, tag)
		if err != nil {
			return err
		}
		body := formBody{Heading: f.title, Lead: f.lead, Form: web.Form{Action: r.URL.Path, Hidden: map[string]string{}, Submit: f.submit, Back: "/"}}
		p.Trail = nil
		if len(way) > 0 {
			about := way.last()
			if about.Withdrawn && !sent {
				return problem.New(problem.NotFound, notFound[f.kind].Code, "This %s was withdrawn. It cannot be changed any more.", f.kind)
			}
			version = about.Revision
			cards, err := bookCards(ctx, db, []line{way})
			if err != nil {
				return err
			}
			body.Subject = &cards[0]
			if f.kind == kindLibrary {
				body.Subject = &card{named: nameOf(about), Path: pathOf(tag)}
			}
			body.Form.Back = body.Subject.Path
			within(&p, way[0], "")
			for _, e := range way {
				switch e.Kind {
				case kindEdition:
				case kindBook:
					p.Trail = append(p.Trail, crumb(titleOf(e, body.Subject.Lang), pathOf(e.Tag)))
				default:
					p.Trail = append(p.Trail, crumb(nameOf(e), pathOf(e.Tag)))
				}
			}
		}
		p.Trail = append(p.Trail, web.Crumb{Name: f.title})
		if f.makes {
			body.Form.Hidden["id"] = uuid.Must(uuid.NewV7()).String()
		} else {
			body.Form.Hidden["seen"], body.Form.Hidden["token"] = strconv.Itoa(version), uuid.Must(uuid.NewV7()).String()
		}
		inputs, err := f.inputs(ctx, db, way)
		body.Form.Inputs = slices.Concat(inputs, []web.Input{{Name: "actor", Label: "Your name", Max: 200, Help: "Recorded with the change, and not checked. Without it you are " + httpapi.Anonymous + "."}})
		p.Body = body
		return err
	})
	return p, version, err
}
