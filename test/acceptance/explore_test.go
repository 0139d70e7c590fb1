package acceptance_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"accession/platform/database"
	"accession/platform/database/dbtest"
	"accession/platform/projection"
	"accession/test/app"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func TestExplore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, db *database.DB) {
		began := time.Now()
		a := app.Start(t, app.Config{DB: db, Timing: projection.Immediate})
		t.Log("start", time.Since(began))
		show := func(what string, x app.Answer) {
			h := x.Header.Clone()
			for _, k := range []string{"X-Request-Id", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Content-Security-Policy"} {
				h.Del(k)
			}
			t.Logf("%s\n   %d %v\n   %s", what, x.Status, h, x.Text)
		}
		const L = "11111111-1111-4111-8111-111111111111"
		const C = "22222222-2222-1222-8222-222222222222"
		const B = "33333333-3333-3333-8333-333333333333"
		const E = "44444444-4444-7444-8444-444444444444"
		const zero = "00000000-0000-0000-0000-000000000000"
		show("lib", a.Post("/libraries", `{"id":"`+L+`","name":"Main"}`))
		show("lib upper case id again", a.Post("/libraries", `{"id":"`+L+`","name":" Main "}`))
		cat := fmt.Sprintf(`{"id":%q,"name":"Poetry","book":{"id":%q,"title":"T","authors":["A"],"edition":{"id":%q,"isbn":"0-306-40615-2","year":1999}}}`, C, B, E)
		show("cat", a.Post("/libraries/"+L+"/categories", cat))
		show("cat again", a.Post("/libraries/"+L+"/categories", cat))
		show("cat again other nested ids", a.Post("/libraries/"+L+"/categories", `{"id":"`+C+`","name":"Poetry","book":{"id":"33333333-3333-3333-8333-333333333334","title":"T","authors":["A"],"edition":{"isbn":"9780306406157","year":1999}}}`))
		began = time.Now()
		show("book with id of a category's first", a.Post("/categories/"+C+"/books", `{"id":"`+B+`","title":"Other"}`))
		t.Log("took", time.Since(began))
		began = time.Now()
		show("book with edition id of a first", a.Post("/categories/"+C+"/books", `{"title":"Other","edition":{"id":"`+E+`"}}`))
		t.Log("took", time.Since(began))
		began = time.Now()
		show("edition with id of a first", a.Post("/books/"+B+"/editions", `{"id":"`+E+`","base_edition_id":"`+E+`"}`))
		t.Log("took", time.Since(began))
		show("category with book id taken", a.Post("/libraries/"+L+"/categories", `{"name":"P2","book":{"id":"`+B+`","title":"T"}}`))
		show("zero lib", a.Post("/libraries/"+zero+"/categories", `{"name":"P2","book":{"title":"T"}}`))
		show("zero cat", a.Post("/categories/"+zero+"/books", `{"title":"T"}`))
		show("zero book", a.Post("/books/"+zero+"/editions", `{"base_edition_id":"`+E+`"}`))
		show("null id", a.Post("/libraries", `{"id":null,"name":"Main"}`))
		show("null edition", a.Post("/categories/"+C+"/books", `{"title":"T","edition":null}`))
		show("null authors", a.Post("/categories/"+C+"/books", `{"title":"T","authors":null,"edition":{"isbn":"","publisher":null,"year":null,"language":"","format":" "}}`))
		show("year 1e3", a.Post("/categories/"+C+"/books", `{"title":"T","edition":{"year":1e3}}`))
		show("null base", a.Post("/books/"+B+"/editions", `{"base_edition_id":null}`))
		show("no base", a.Post("/books/"+B+"/editions", `{}`))
		show("base elsewhere", a.Post("/books/"+B+"/editions", `{"base_edition_id":"`+C+`"}`))
		show("zero base", a.Post("/books/"+B+"/editions", `{"base_edition_id":"`+zero+`"}`))
		show("isbn", a.Post("/books/"+B+"/editions", `{"base_edition_id":"`+E+`","isbn":"9780306406157"}`))
		show("ed", a.Post("/books/"+B+"/editions", `{"base_edition_id":"`+E+`","isbn":"080442957x"}`))
		show("same name", a.Post("/libraries/"+L+"/categories", `{"name":" poetry","book":{"title":"T"}}`))
		show("wrong", a.Post("/libraries/"+L+"/categories", `{"name":" ","book":{"title":"\u0000","authors":["",""],"edition":{"isbn":"9780306406158","year":999,"publisher":"a\nb"}}}`))
		for _, p := range []string{"/libraries", "/libraries/" + L, "/libraries/" + L + "/categories", "/categories/" + C, "/categories/" + C + "/books", "/categories/" + C + "/books?limit=1", "/books/" + B, "/books/" + B + "/editions", "/editions/" + E,
			"/libraries/" + zero, "/categories/" + zero, "/books/" + zero, "/books/" + zero + "/history", "/categories/" + zero + "/books",
			"/libraries/" + L + "/references/1", "/libraries/" + L + "/references/1.1.2", "/libraries/" + L + "/search?q=0306406152", "/libraries/" + L + "/search?q=", "/libraries/" + L + "/search", "/libraries/" + L + "/search?q=1",
			"/events?limit=1", "/events?after=2&limit=1&type=catalogue.book_added", "/events?scope=book:" + B, "/books/" + B + "/history", "/events?after=-1", "/events?x=1", "/libraries?limit=0", "/libraries?limit=501", "/libraries?cursor=x"} {
			show(p, a.Get(p))
		}
		show("min", a.Get("/libraries/"+L, "Accession-Min-Position: 1000", "Prefer: wait=0"))
		show("min", a.Get("/libraries/"+L, "Accession-Min-Position: x"))
		show("wait", a.Get("/libraries/"+L, "Prefer: wait=31"))
		began = time.Now()
		a.Stop()
		t.Log("stop", time.Since(began))
	})
}
