package httpapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"accession/platform/httpapi"
	"accession/platform/problem"

	"github.com/danielgtaylor/huma/v2"
)

// A route with one thing that is there, and one that is not.
func Example() {
	type Greeting struct {
		Text string `json:"text"`
	}
	type input struct {
		Name string `path:"name"`
	}
	errNotFound := problem.New(problem.NotFound, "greeting-not-found", "Nobody is greeted by this name.")

	api := httpapi.New(httpapi.Config{Logger: slog.New(slog.DiscardHandler)})
	huma.Register(api.Huma(), huma.Operation{
		OperationID: "get-greeting", Method: http.MethodGet, Path: "/greetings/{name}", Errors: httpapi.Errors(errNotFound),
	}, func(_ context.Context, in *input) (*httpapi.One[Greeting], error) {
		if in.Name != "world" {
			return nil, errNotFound
		}
		return httpapi.NewOne(Greeting{"hello, world"}, 1, 12), nil
	})

	for _, path := range []string{"/api/v1/greetings/world", "/api/v1/greetings/moon"} {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("X-Request-ID", "1")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("ETag"), w.Header().Get("Content-Type"))
		fmt.Print(w.Body)
	}
	// Output:
	// 200 "1" application/json
	// {"text":"hello, world"}
	// 404  application/problem+json
	// {"type":"about:blank","title":"Not Found","status":404,"detail":"Nobody is greeted by this name.","code":"greeting-not-found","request_id":"1"}
}
