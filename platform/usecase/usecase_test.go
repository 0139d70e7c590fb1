package usecase_test

import (
	"testing"
	"time"

	"accession/platform/event"
	"accession/platform/eventlog/eventlogtest"
	"accession/platform/eventlog/memory"
	"accession/platform/usecase"

	"github.com/google/go-cmp/cmp"
)

func TestAUnitFoldsTheLogAndWhatItRecorded(t *testing.T) {
	t.Parallel()
	log := memory.New(eventlogtest.Registry(), time.Minute)
	stored := eventlogtest.Unit("k", map[event.Tag]int{"book:1": 0})
	if err := eventlogtest.Commit(t.Context(), log, stored); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	u := usecase.NewUnit(log, now)
	if got, want := u.Now(), time.Date(2026, 11, 22, 11, 0, 0, 123456000, time.UTC); !got.Equal(want) || got.Location() != time.UTC {
		t.Errorf("now is %v", got)
	}
	texts := func(s *[]string, e event.Event) { *s = append(*s, e.(*eventlogtest.Noted).Text) }

	got, version, err := usecase.Fold(t.Context(), u, "book:1", texts)
	if diff := cmp.Diff([]string{"text of k"}, got); err != nil || version != 1 || diff != "" {
		t.Errorf("version %d, %v (-want +got):\n%s", version, err, diff)
	}
	u.Record("book:1", &eventlogtest.Noted{Text: "second"}, &eventlogtest.Noted{Text: "third"})
	u.Record("book:2", &eventlogtest.Noted{Text: "another's first"})
	got, version, err = usecase.Fold(t.Context(), u, "book:1", texts)
	if diff := cmp.Diff([]string{"text of k", "second", "third"}, got); err != nil || version != 3 || diff != "" {
		t.Errorf("version %d, %v (-want +got):\n%s", version, err, diff)
	}
	u.Record("book:1", &eventlogtest.Noted{Text: "fourth"})
	var places []string
	for _, r := range u.Recorded() {
		places = append(places, string(r.Stream)+"@"+string(rune('0'+r.Version)))
	}
	if diff := cmp.Diff([]string{"book:1@2", "book:1@3", "book:2@1", "book:1@4"}, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if _, version, err := usecase.Fold(t.Context(), u, "book:3", texts); version != 0 || err != nil {
		t.Errorf("a stream without events is at %d: %v", version, err)
	}
}

// What was decided on when a stream was first looked into must not be stored behind what came since.
func TestAStreamThatMovesBetweenTwoFoldsIsWrittenWhereTheFirstSawIt(t *testing.T) {
	t.Parallel()
	log := memory.New(eventlogtest.Registry(), time.Minute)
	u := usecase.NewUnit(log, time.Now())
	for at := range 2 {
		rival := eventlogtest.Unit("k"+string(rune('0'+at)), map[event.Tag]int{"book:1": at})
		if err := eventlogtest.Commit(t.Context(), log, rival); err != nil {
			t.Fatal(err)
		}
		if _, _, err := usecase.Fold(t.Context(), u, "book:1", func(*int, event.Event) {}); err != nil {
			t.Fatal(err)
		}
	}
	u.Record("book:1", &eventlogtest.Noted{Text: "mine"})
	if got := u.Recorded()[0].Version; got != 2 {
		t.Errorf("it is meant for version %d, want 2, which the rival has", got)
	}
}
