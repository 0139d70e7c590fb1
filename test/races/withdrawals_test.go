package races_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"accession/modules/catalogue"
	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/modules/editions/editionsevents"
	"accession/modules/library"
	"accession/platform/consistency"
	"accession/platform/consistency/consistencytest"
	"accession/platform/eventlog"
	"accession/platform/module"
	"accession/platform/problem"
	"accession/platform/usecase"
)

// TestReferencesUnderWithdrawal is rule R6: who withdraws and who refers cannot pass each other, in any mode. Whatever the
// order in which rivals come, playing the log anew finds no rule broken.
func TestReferencesUnderWithdrawal(t *testing.T) {
	t.Parallel()
	inEachMode(t, func(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
		for range 4 {
			withdrawals(t, open, mode)
		}
	})
}

// inEachMode runs f on each store in each mode, all at once.
func inEachMode(t *testing.T, f func(t *testing.T, open consistencytest.Open, mode consistency.Mode)) {
	t.Helper()
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			t.Run(fmt.Sprint(store.name, "/", mode), func(t *testing.T) {
				t.Parallel()
				f(t, store.open, mode)
			})
		}
	}
}

func withdrawals(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
	s := open(t, must(module.Registry(modules)))
	run := runnerIn(s, mode, nil)
	lib := openLibrary()
	one, two := createCategory(lib.ID), createCategory(lib.ID)
	for _, r := range []usecase.Request{lib.Request("t"), one.Request("t"), two.Request("t")} {
		mustRun(t, run, r)
	}
	book, first := one.Book.ID, one.Book.Edition.ID
	second := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: book, Base: first}
	mustRun(t, run, second.Request("t"))

	based := func(base editionsevents.EditionID) usecase.Request {
		return editions.AddEdition{ID: editionsevents.NewEditionID(), Book: book, Base: base}.Request("t")
	}
	together := func(expected []error, requests ...usecase.Request) []error {
		t.Helper()
		errs := make([]error, len(requests))
		gate := consistencytest.NewBarrier(len(requests))
		var wg sync.WaitGroup
		for i, r := range requests {
			wg.Go(func() {
				gate.Wait(t.Context())
				_, errs[i] = run.Run(t.Context(), r)
			})
		}
		wg.Wait()
		for i, err := range errs {
			ok := err == nil
			for _, e := range expected {
				ok = ok || errors.Is(err, e)
			}
			if !ok {
				t.Errorf("%T: %v", requests[i].Command, err)
			}
		}
		return errs
	}

	// An edition is withdrawn while others are based on it.
	together([]error{editions.ErrBaseEditionNotFound, editions.ErrEditionNumberNotUnique},
		editions.WithdrawEdition{ID: first}.Request("t"), based(first), based(second.ID), based(first), based(first))

	// All that are left are withdrawn at once: one stays.
	ids := liveEditions(t, s, book)
	var all []usecase.Request
	for _, id := range ids {
		all = append(all, editions.WithdrawEdition{ID: id}.Request("t"))
	}
	errs := together([]error{editions.ErrLastEdition}, all...)
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
		}
	}
	if failed != 1 || len(liveEditions(t, s, book)) != 1 {
		t.Errorf("of %d last editions %d stayed, %d are live", len(ids), failed, len(liveEditions(t, s, book)))
	}

	// The book is withdrawn while it is moved, corrected and gets editions; its category while books come in.
	last := liveEditions(t, s, book)[0]
	title, year := "Another title", 1999
	errs = together([]error{
		editions.ErrBookNotFound, editions.ErrBaseEditionNotFound, editions.ErrEditionNumberNotUnique, editions.ErrEditionNotFound,
		editions.ErrLastEdition, catalogue.ErrBookNumberNotUnique, consistency.ErrVersionConflict,
	},
		editions.CorrectEdition{ID: last, Imprint: editions.Correction{Year: &year}}.Request("t"), editions.WithdrawEdition{ID: last}.Request("t"),
		catalogue.WithdrawBook{ID: book, Reason: "lost"}.Request("t"), based(last), based(last),
		catalogue.MoveBook{ID: book, To: two.ID}.Request("t"), catalogue.CorrectBook{ID: book, Title: &title}.Request("t"),
		catalogue.MoveBook{ID: two.Book.ID, To: one.ID}.Request("t"), addBook(one.ID).Request("t"))
	for _, err := range errs[:2] { // the request was about the edition
		if errors.Is(err, editions.ErrBookNotFound) {
			t.Errorf("a change of an edition is refused with %v", err)
		}
	}
	if n := len(liveEditions(t, s, book)); n != 0 {
		t.Errorf("%d live editions in a withdrawn book: %v", n, errs)
	}
	together([]error{catalogue.ErrCategoryNotEmpty, catalogue.ErrCategoryNotFound, catalogue.ErrBookNumberNotUnique, catalogue.ErrTargetNotFound},
		library.WithdrawCategory{ID: two.ID}.Request("t"), addBook(two.ID).Request("t"), library.WithdrawCategory{ID: two.ID}.Request("t"))

	findings, err := consistency.Audit(t.Context(), must(module.Constraints(modules)), s.Log, s.Register)
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
	}
}

// TestWhatIsWithdrawnTwiceAtOnceIsNotFound: whoever withdraws something at the same moment as somebody else hears that it is gone,
// and not of what was in it.
func TestWhatIsWithdrawnTwiceAtOnceIsNotFound(t *testing.T) {
	t.Parallel()
	inEachMode(t, func(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
		s := open(t, must(module.Registry(modules)))
		run := runnerIn(s, mode, nil)
		lib := openLibrary()
		category := createCategory(lib.ID)
		mustRun(t, run, lib.Request("t"))
		mustRun(t, run, category.Request("t"))
		for range 5 {
			book := addBook(category.ID)
			mustRun(t, run, book.Request("t"))
			mustRun(t, run, editions.AddEdition{ID: editionsevents.NewEditionID(), Book: book.ID, Base: book.Edition.ID}.Request("t"))
			gate := consistencytest.NewBarrier(2)
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					gate.Wait(t.Context())
					_, errs[i] = run.Run(t.Context(), catalogue.WithdrawBook{ID: book.ID}.Request("t"))
				})
			}
			wg.Wait()
			if errs[0] != nil {
				slices.Reverse(errs)
			}
			lost := mode == consistency.Reject && errors.Is(errs[1], consistency.ErrVersionConflict)
			if errs[0] != nil || !lost && !errors.Is(errs[1], editions.ErrBookNotFound) {
				t.Errorf("withdrawn with %v and %v", errs[0], errs[1])
			}
		}
	})
}

// TestWhoIsOvertakenAtTheLastAttemptHearsWhy: a command that may not try again hears of what is there now, where it has something
// against that, and of rivals else; never that the log is busy, which it is not.
func TestWhoIsOvertakenAtTheLastAttemptHearsWhy(t *testing.T) {
	t.Parallel()
	inEachMode(t, func(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
		s := open(t, must(module.Registry(modules)))
		run := runnerIn(s, mode, nil)
		settings := settingsIn(mode)
		settings.Attempts = 1
		// The rival comes when the command has been executed, and before it is stored.
		overtaken := func(r, by usecase.Request) error {
			once := true
			_, err := runnerIn(s, mode, func(c *consistency.Config) {
				c.Settings = func() consistency.Settings { return settings }
				c.Probe = func(_ context.Context, stage consistency.Stage) {
					if stage == consistency.Decided && once {
						once = false
						mustRun(t, run, by)
					}
				}
			}).Run(t.Context(), r)
			return err
		}
		lib := openLibrary()
		category := createCategory(lib.ID)
		mustRun(t, run, lib.Request("t"))
		mustRun(t, run, category.Request("t"))
		book := category.Book.ID
		correct := func(title string, seen int) usecase.Request {
			return catalogue.CorrectBook{ID: book, Seen: seen, Title: &title}.Request("t")
		}
		if err := overtaken(correct("One", 1), correct("Two", 0)); !errors.Is(err, usecase.ErrVersionMismatch) {
			t.Errorf("who wants to change what they have seen hears %v", err)
		}
		if err := overtaken(correct("Three", 0), correct("Four", 0)); !errors.Is(err, consistency.ErrVersionConflict) {
			t.Errorf("who wants to change it however it is hears %v", err)
		}
		another := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: book, Base: category.Book.Edition.ID}.Request("t")
		if err := overtaken(catalogue.WithdrawBook{ID: book}.Request("t"), another); !errors.Is(err, consistency.ErrVersionConflict) {
			t.Errorf("who withdraws more than they know hears %v", err)
		}
		if err := overtaken(correct("Five", 0), catalogue.WithdrawBook{ID: book}.Request("t")); !errors.Is(err, editions.ErrBookNotFound) {
			t.Errorf("who corrects what is gone hears %v", err)
		}
	})
}

// TestMovingAndWithdrawingNoDeadlock is rule R11 where things also move and go: each command has several scopes, and which they
// are is only known once what it is about has been read. 16 at a time, in random order, are refused for what the domain says or
// not at all.
func TestMovingAndWithdrawingNoDeadlock(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range []consistency.Mode{consistency.Retry, consistency.Lock} {
			t.Run(store.name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				movingAndWithdrawing(t, store.open, mode)
			})
		}
	}
}

func movingAndWithdrawing(t *testing.T, open consistencytest.Open, mode consistency.Mode) {
	set := must(module.Constraints(modules))
	s := open(t, must(module.Registry(modules)))
	run := runnerIn(s, mode, nil)
	lib := openLibrary()
	mustRun(t, run, lib.Request("t"))
	var cats []library.CreateCategory
	var books []catalogue.AddBook
	var eds []editions.AddEdition // a second edition of each book
	for range 3 {
		c := createCategory(lib.ID)
		mustRun(t, run, c.Request("t"))
		cats = append(cats, c)
		for range 4 {
			b := addBook(c.ID)
			mustRun(t, run, b.Request("t"))
			e := editions.AddEdition{ID: editionsevents.NewEditionID(), Book: b.ID, Base: b.Edition.ID}
			mustRun(t, run, e.Request("t"))
			books, eds = append(books, b), append(eds, e)
		}
	}

	// What the domain may say. Numbers that are taken, versions that are no longer and scopes that are busy are not among it.
	domain := []error{
		catalogue.ErrCategoryNotFound, catalogue.ErrTargetNotFound, catalogue.ErrCategoryNotEmpty, library.ErrCategoryNameTaken,
		editions.ErrBookNotFound, editions.ErrEditionNotFound, editions.ErrBaseEditionNotFound, editions.ErrLastEdition, editions.ErrISBNTaken,
	}
	const writers, each = 16, 8
	gate := consistencytest.NewBarrier(writers)
	var wg sync.WaitGroup
	for w := range writers {
		random := rand.New(rand.NewPCG(1111, uint64(w)))
		wg.Go(func() {
			gate.Wait(t.Context())
			for range each {
				r := randomChange(random, lib, cats, books, eds)
				_, err := run.Run(t.Context(), r)
				if err != nil && !slices.ContainsFunc(domain, func(d error) bool { return errors.Is(err, d) }) {
					t.Errorf("%T: %s: %v", r.Command, problem.Of(err).CodeOrKind(), err)
				}
			}
		})
	}
	wg.Wait()

	for _, b := range books {
		withdrawn := false
		for env, err := range s.Log.Read(t.Context(), eventlog.Query{Stream: b.ID.Tag()}) {
			if err != nil {
				t.Fatal(err)
			}
			_, gone := env.Event.(*catalogueevents.BookWithdrawn)
			withdrawn = withdrawn || gone
		}
		if live := len(liveEditions(t, s, b.ID)); withdrawn != (live == 0) {
			t.Errorf("a book has %d live editions; withdrawn: %t", live, withdrawn)
		}
	}
	findings, err := consistency.Audit(t.Context(), set, s.Log, s.Register)
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
	}
}

// randomChange is a command about some of the things given. Most of them move, correct and add, so that there is something left
// to withdraw.
func randomChange(random *rand.Rand, lib library.OpenLibrary, cats []library.CreateCategory, books []catalogue.AddBook, eds []editions.AddEdition) usecase.Request {
	cat, i := cats[random.IntN(len(cats))].ID, random.IntN(len(books))
	book, first, second := books[i].ID, books[i].Edition.ID, eds[i].ID
	isbn := []string{"978-0-14-044913-6", "0-306-40615-2", ""}[random.IntN(3)]
	switch random.IntN(16) {
	case 0:
		return createCategory(lib.ID).Request("t")
	case 1:
		return library.WithdrawCategory{ID: cat}.Request("t")
	case 2:
		return catalogue.WithdrawBook{ID: book}.Request("t")
	case 3:
		return editions.WithdrawEdition{ID: first}.Request("t")
	case 4:
		return editions.WithdrawEdition{ID: second}.Request("t")
	case 5, 6:
		c := addBook(cat)
		c.Edition.Imprint.ISBN = isbn
		return c.Request("t")
	case 7, 8:
		title := fmt.Sprint("Title ", random.IntN(3))
		return catalogue.CorrectBook{ID: book, Title: &title}.Request("t")
	case 9, 10:
		return editions.CorrectEdition{ID: first, Imprint: editions.Correction{ISBN: &isbn}}.Request("t")
	case 11, 12:
		return editions.AddEdition{ID: editionsevents.NewEditionID(), Book: book, Base: second, Imprint: editions.Imprint{ISBN: isbn}}.Request("t")
	default:
		return catalogue.MoveBook{ID: book, To: cat}.Request("t")
	}
}

// liveEditions lists a book's live editions as the log has them.
func liveEditions(t *testing.T, s consistencytest.Store, book catalogueevents.BookID) []editionsevents.EditionID {
	t.Helper()
	live := map[editionsevents.EditionID]bool{}
	var order []editionsevents.EditionID
	for env, err := range s.Log.Read(t.Context(), eventlog.Query{Tag: book.Tag()}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e := env.Event.(type) {
		case *editionsevents.EditionAdded:
			live[e.Edition] = true
			order = append(order, e.Edition)
		case *editionsevents.EditionWithdrawn:
			delete(live, e.Edition)
		}
	}
	var ids []editionsevents.EditionID
	for _, id := range order {
		if live[id] {
			ids = append(ids, id)
		}
	}
	return ids
}
