package catalogue

import (
	"context"

	"accession/modules/catalogue/catalogueevents"
	"accession/modules/editions"
	"accession/platform/usecase"
)

// WithdrawBook withdraws a book and all of its editions. Their numbers stay used up.
type WithdrawBook struct {
	ID     catalogueevents.BookID
	Seen   int // the version that the caller has seen; 0: whatever there is
	Reason string
}

// Execute implements usecase.Command.
func (c WithdrawBook) Execute(ctx context.Context, u *usecase.Unit) error {
	reason, err := editions.Reason(c.Reason)
	if err != nil {
		return err
	}
	s, err := fold(ctx, u, c.ID, c.Seen)
	if err != nil {
		return err
	}
	u.Record(c.ID.Tag(), &catalogueevents.BookWithdrawn{Book: c.ID, Category: s.place.Category, Library: s.library, Reason: reason})
	return editions.WithdrawEditions{Book: c.ID, Category: s.place.Category, Library: s.library, Reason: reason}.Execute(ctx, u)
}

// Request is the command on its way.
func (c WithdrawBook) Request(actor string) usecase.Request {
	return usecase.Request{Command: c, Actor: actor}
}
