// Package httpapi is how the product speaks HTTP: one server, one mux for API and pages, one form of error. It knows nothing of
// any module; a module registers routes and hands back values and errors.
//
// The way of a request:
//
//  1. [API.ServeHTTP] (api.go) gives it an id, refuses cross-origin writes, finds its route, and afterwards writes one line to
//     the log and one observation to the metrics. A panic ends here as a problem.
//  2. For a route under [Prefix], routes.go reads the body whole and checks query and JSON; then huma checks both against the
//     route's types, which are also its OpenAPI document at /openapi.json. The inputs that many routes share are in params.go,
//     change.go (If-Match, merge patches) and repeat.go (Idempotency-Key).
//  3. The handler answers with a value (answer.go, cursor.go) or an error. Any error becomes a [Problem] (problem.go), with the
//     status that platform/problem gives it; of an error that is not a *problem.Error the client reads nothing but a request id.
//
// [Listen] (server.go) is what answers on an address, and stops without cutting off what it accepted.
//
// A module's route:
//
//	huma.Register(api.Huma(), huma.Operation{
//		OperationID:   "create-shelf",
//		Method:        http.MethodPost,
//		Path:          "/shelves",
//		DefaultStatus: http.StatusCreated,
//		Metadata:      httpapi.Also(http.StatusOK),
//		Errors:        httpapi.Errors(ErrIDTaken, ErrScopeBusy),
//	}, createShelf)
//
// Errors lists what the handler itself may answer with. What this package answers with for any such route (422, 500; for a
// write 403, for a POST 409; with a body 400, 408, 413, 415) it declares itself. Package httpapitest has a referee for tests: it
// fails a test when an answer is not declared.
//
// What a server of net/http refuses before there is a request (a line that is no HTTP, headers over the limit) is answered by
// net/http, in plain text.
package httpapi
