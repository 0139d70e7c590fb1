package library

import (
	"accession/modules/catalogue"
	"accession/modules/library/libraryevents"
	"accession/platform/usecase"
)

// Library is a library as the API shows it.
type Library struct {
	ID         string `json:"id" format:"uuid"`
	Name       string `json:"name"`
	Categories int    `json:"categories" doc:"How many categories it has."`
}

// Category is a category as the API shows it. A number not assigned yet is null.
type Category struct {
	ID        string `json:"id" format:"uuid"`
	LibraryID string `json:"library_id" format:"uuid"`
	Number    *int   `json:"number" doc:"Counts 1, 2, 3 … within the library; null while it is still to be assigned."`
	Name      string `json:"name"`
	Withdrawn bool   `json:"withdrawn"`
}

// CreatedCategory is a category with the book it came with.
type CreatedCategory struct {
	Category
	Book catalogue.AddedBook `json:"book"`
}

// stored is the category, with its first book, that a receipt tells of: the answer to a command comes from what was written.
func stored(r usecase.Receipt) CreatedCategory {
	e, _ := usecase.Recorded[*libraryevents.CategoryCreated](r)
	return CreatedCategory{
		Category: Category{ID: e.Category.String(), LibraryID: e.Library.String(), Number: known(e.Number), Name: e.Name},
		Book:     catalogue.Stored(r, e.Number),
	}
}

func known(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}
