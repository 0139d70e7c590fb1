package races_test

import (
	"errors"
	"fmt"
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
	"accession/platform/usecase"
)

// TestReferencesUnderWithdrawal is rule R6: who withdraws and who refers cannot pass each other, in any mode. Whatever the
// order in which rivals come, playing the log anew finds no rule broken.
func TestReferencesUnderWithdrawal(t *testing.T) {
	t.Parallel()
	for _, store := range stores {
		for _, mode := range consistency.Built() {
			t.Run(fmt.Sprint(store.name, "/", mode), func(t *testing.T) {
				t.Parallel()
				for range 4 {
					withdrawals(t, store.open, mode)
				}
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
	title := "Another title"
	together([]error{
		editions.ErrBookNotFound, editions.ErrBaseEditionNotFound, editions.ErrEditionNumberNotUnique, editions.ErrEditionNotFound,
		catalogue.ErrBookNumberNotUnique, consistency.ErrVersionConflict,
	},
		catalogue.WithdrawBook{ID: book, Reason: "lost"}.Request("t"), based(last), based(last),
		catalogue.MoveBook{ID: book, To: two.ID}.Request("t"), catalogue.CorrectBook{ID: book, Title: &title}.Request("t"),
		catalogue.MoveBook{ID: two.Book.ID, To: one.ID}.Request("t"), addBook(one.ID).Request("t"))
	if n := len(liveEditions(t, s, book)); n != 0 {
		t.Errorf("%d live editions in a withdrawn book", n)
	}
	together([]error{catalogue.ErrCategoryNotEmpty, catalogue.ErrCategoryNotFound, catalogue.ErrBookNumberNotUnique, catalogue.ErrTargetNotFound},
		library.WithdrawCategory{ID: two.ID}.Request("t"), addBook(two.ID).Request("t"), library.WithdrawCategory{ID: two.ID}.Request("t"))

	findings, err := consistency.Audit(t.Context(), must(module.Constraints(modules)), s.Log, s.Register)
	if err != nil || len(findings) > 0 {
		t.Errorf("audit: %v %v", findings, err)
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
