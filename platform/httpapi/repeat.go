package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"accession/platform/problem"
	"accession/platform/usecase"

	"github.com/danielgtaylor/huma/v2"
)

// Repeatable is embedded in the input of every POST: with it clients may repeat a request that they got no answer to. Hand its
// Token to the command's request, and answer from nothing but the receipt, and the log as it was at the receipt's position: so a
// repetition is answered word for word as the first.
type Repeatable struct {
	IdempotencyKey IdempotencyKey `header:"Idempotency-Key" example:"0f5a1b76-8f0c-4c9e-a1c8-6d1c2e0f9f3d" doc:"A name of your own for this request, to be able to repeat it: 1 to 200 printable ASCII characters, for one request only. However often it is sent it has one effect, and every answer is that of the first success. Refusals are not kept."`
}

// Token names the request that ctx belongs to, as its client did; the zero Token when they did not. Two requests are the same
// when method, path, query, If-Match and body are, the body as JSON.
func (r Repeatable) Token(ctx context.Context) usecase.Token {
	if r.IdempotencyKey.key == "" {
		return usecase.Token{}
	}
	req := requestOf(ctx)
	content := []any{req.method, "", req.ifMatch, nil}
	if req.url != nil {
		content[1] = req.url.RequestURI()
	}
	if len(req.body) > 0 {
		content[3] = json.RawMessage(req.body)
	}
	return usecase.Token{Key: r.IdempotencyKey.key, Fingerprint: usecase.Fingerprint(content...)}
}

// maxKey is how many characters an Idempotency-Key may have.
const maxKey = 200

// IdempotencyKey is the value of Idempotency-Key. The zero IdempotencyKey is none.
type IdempotencyKey struct{ key string }

// UnmarshalText reads the value of the header: printable ASCII, quotes and all.
func (k *IdempotencyKey) UnmarshalText(b []byte) error {
	if len(b) > maxKey {
		return fmt.Errorf("must be %d characters or fewer", maxKey)
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return errors.New("must be printable ASCII: a UUID, for example")
		}
	}
	k.key = string(b)
	return nil
}

// Resolve implements huma.Resolver. It refuses a header that is there without a key, and one that is there twice: a client who
// sends that believes that it may repeat the request.
func (k *IdempotencyKey) Resolve(ctx huma.Context) []error {
	given := headers(ctx, "Idempotency-Key")
	wrong := func(message string) []error {
		return []error{problem.InvalidField("header.Idempotency-Key", nil, "%s", message)}
	}
	switch {
	case len(given) > 1:
		return wrong("must be there once")
	case len(given) == 1 && given[0] == "":
		return wrong("must not be empty: leave it out, or give a UUID, for example")
	}
	return nil
}
