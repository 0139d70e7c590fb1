package library

import (
	"context"

	"accession/modules/editions"
	"accession/modules/library/libraryevents"
	"accession/platform/usecase"
)

// WithdrawCategory withdraws a category in which no live book is. Its number stays used up.
type WithdrawCategory struct {
	ID     libraryevents.CategoryID
	Seen   int // the version that the caller has seen; 0: whatever there is
	Reason string
}

// Execute implements usecase.Command.
func (c WithdrawCategory) Execute(ctx context.Context, u *usecase.Unit) error {
	reason, err := editions.Reason(c.Reason)
	if err != nil {
		return err
	}
	s, err := foldCategory(ctx, u, c.ID, c.Seen)
	if err != nil {
		return err
	}
	u.Record(c.ID.Tag(), &libraryevents.CategoryWithdrawn{Category: c.ID, Library: s.library, Reason: reason})
	return nil
}

// Request is the command on its way.
func (c WithdrawCategory) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
