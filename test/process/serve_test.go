//go:build unix

package process_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The sample catalogue (modules/exchange/sample).
const (
	sampleCategories = 51
	sampleBooks      = 394
	sampleEditions   = 408
	sampleEnd        = 1 + sampleCategories + sampleBooks + sampleEditions
)

func TestTheSampleCanBeBrowsed(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.serve("--sample")
	s.fetch("/readyz", 0)
	s.fetch("/livez", 0)
	s.sample()

	root := s.links("/", sampleEnd, `/libraries/[0-9a-f-]+`)
	if len(root) != 1 {
		t.Fatalf("the first page links to %d libraries: %v", len(root), root)
	}
	categories := s.links(root[0], sampleEnd, `/categories/[0-9a-f-]+`)
	if len(categories) != sampleCategories {
		t.Errorf("the library's page links to %d categories, want %d", len(categories), sampleCategories)
	}
	books := map[string]bool{}
	for _, c := range categories {
		for _, page := range append(s.links(c, sampleEnd, regexp.QuoteMeta(c)+`\?[^"]+`), c) {
			for _, b := range s.links(html.UnescapeString(page), sampleEnd, `/books/[0-9a-f-]+`) {
				books[b] = true
			}
		}
	}
	if len(books) != sampleBooks {
		t.Errorf("the categories' pages link to %d books, want %d", len(books), sampleBooks)
	}
	for b := range books {
		s.fetch(b, sampleEnd)
		break
	}
	if metrics := s.fetch("/metrics", 0); !strings.Contains(string(metrics), "accession_log_position 854") {
		t.Errorf("the metrics do not say where the log is")
	}

	r := s.stop(syscall.SIGTERM)
	dir, err := filepath.EvalSymlinks(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("Accession listens on %s, its data lies in %s\n", s.url, filepath.Join(dir, "accession.db")); r.out != want {
		t.Errorf("stdout is %q, want %q", r.out, want)
	}
	h.verified(sampleEnd)

	// Again: everything is there, nothing is added.
	s = h.serve("--sample")
	s.sample()
	s.stop(syscall.SIGINT)
	h.verified(sampleEnd)
	s = h.serve()
	s.sample()
	s.stop(syscall.SIGINT)
	h.verified(sampleEnd)
}

// sample checks that the API shows the whole sample, and nothing else.
func (s *server) sample() {
	t := s.home
	t.Helper()
	libraries := list[library](s, "/libraries", sampleEnd)
	if len(libraries) != 1 || libraries[0].Name != "Sample library" || libraries[0].Categories != sampleCategories {
		t.Fatalf("the libraries are %+v", libraries)
	}
	categories := list[category](s, "/libraries/"+libraries[0].ID+"/categories", sampleEnd)
	books, editions := 0, 0
	for i, c := range categories {
		if c.Number != i+1 {
			t.Errorf("category %d has the number %d", i+1, c.Number)
		}
		for i, b := range list[book](s, "/categories/"+c.ID+"/books", sampleEnd) {
			if want := fmt.Sprintf("%d.%d", c.Number, i+1); b.Reference != want {
				t.Errorf("book %s has the reference %s", want, b.Reference)
			}
			books++
			editions += len(list[edition](s, "/books/"+b.ID+"/editions", sampleEnd))
		}
	}
	if len(categories) != sampleCategories || books != sampleBooks || editions != sampleEditions {
		t.Errorf("there are %d categories, %d books, %d editions; want %d, %d, %d",
			len(categories), books, editions, sampleCategories, sampleBooks, sampleEditions)
	}
}

func TestTheSampleLeavesADatabaseAloneThatHasSomethingInIt(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.serve()
	create[library](s, "/libraries", map[string]string{"name": "Mine"})
	s.stop(syscall.SIGINT)
	r := h.serve("--sample").stop(syscall.SIGINT)
	if !strings.Contains(r.err, "the sample is left out") {
		t.Errorf("stderr does not say so:\n%s", r.err)
	}
	h.verified(1)
}

func TestTheSampleIsKnownAmongLibrariesOfTheSameName(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.serve("--sample")
	create[library](s, "/libraries", map[string]string{"name": "Sample library"})
	s.stop(syscall.SIGINT)
	h.serve("--sample").stop(syscall.SIGINT)
	h.verified(sampleEnd + 1)
}

func TestTheSampleIsCompletedAfterKillsWhileItIsBeingFilled(t *testing.T) {
	t.Parallel()
	h := inTime(t, func(h *home) bool {
		for _, position := range []int{0, 1, 2, 60, 154, 250, 400, 700} {
			p := h.start("serve", "--sample", "--addr", "127.0.0.1:0")
			p.await(position)
			p.kill()
			at := h.position("accession.db")
			if at < position {
				t.Errorf("it ended at position %d, before it was killed at %d", at, position)
			}
			if at >= sampleEnd {
				return false
			}
		}
		return true
	})
	s := h.serve("--sample")
	s.sample()
	s.stop(syscall.SIGINT)
	h.verified(sampleEnd)
	quiet := newHome(t)
	quiet.serve("--sample").stop(syscall.SIGINT)
	same(t, quiet.references(), h.references())
}

// writers post books, one after another each, until they see the server gone. Posted is told of every acknowledgement.
func writers(n int, url, category string, posted func()) (acknowledged func() []book) {
	var all sync.WaitGroup
	got := make([][]book, n)
	for i := range n {
		all.Go(func() {
			for k := 0; ; k++ {
				b, err := post[book](url+"/api/v1/categories/"+category+"/books", newBook(fmt.Sprintf("Book %d of writer %d", k, i)))
				if err != nil {
					return
				}
				got[i] = append(got[i], b)
				posted()
			}
		})
	}
	return func() []book {
		all.Wait()
		return slices.Concat(got...)
	}
}

// countdown closes the channel that it returns when it was called n times.
func countdown(n int) (tick func(), done chan struct{}) {
	var mu sync.Mutex
	done = make(chan struct{})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			close(done)
		}
	}, done
}

// shelf begins a library with a category and its first book.
func (s *server) shelf() category {
	s.home.Helper()
	lib := create[library](s, "/libraries", map[string]string{"name": "Library"})
	return create[category](s, "/libraries/"+lib.ID+"/categories", map[string]any{"name": "Category", "book": newBook("First")})
}

// holds checks that the category's books count from 1, that each that was acknowledged is there exactly once, as acknowledged,
// and that there are at most so many that nobody was told of. It gives the last number.
func (s *server) holds(c category, acknowledged []book, untold int) int {
	t := s.home
	t.Helper()
	there := map[string]book{}
	books := list[book](s, "/categories/"+c.ID+"/books", t.end())
	for i, b := range books {
		if b.Number != i+1 {
			t.Errorf("book %d has the number %d", i+1, b.Number)
		}
		if _, twice := there[b.ID]; twice {
			t.Errorf("%+v is there twice", b)
		}
		there[b.ID] = b
	}
	for _, b := range acknowledged {
		if there[b.ID] != b {
			t.Errorf("%+v was acknowledged, there is %+v", b, there[b.ID])
		}
	}
	if n := len(books) - 1 - len(acknowledged); n < 0 || n > untold {
		t.Errorf("%d books are there that nobody was told of, want at most %d", n, untold)
	}
	return len(books)
}

func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	s := h.serve()
	c := s.shelf()
	const clients = 8
	var acknowledged []book
	untold := 0
	for range 3 {
		tick, enough := countdown(150)
		result := writers(clients, s.url, c.ID, tick)
		<-enough
		s.kill()
		acknowledged = append(acknowledged, result()...)
		untold += clients // each may have had one under way
		if r := h.run("verify"); r.exit != 0 {
			t.Errorf("verify after kill -9: exit %d\n%s%s", r.exit, r.out, r.err)
		}
		s = h.serve()
		last := s.holds(c, acknowledged, untold)
		next := create[book](s, "/categories/"+c.ID+"/books", newBook("After"))
		if next.Number != last+1 {
			t.Errorf("the next book has the number %d, want %d", next.Number, last+1)
		}
		acknowledged = append(acknowledged, next)
	}
	s.stop(syscall.SIGTERM)
	h.references()
	h.verified(h.position("accession.db"))
}

func TestStoppingFinishesWhatWasAcceptedAndAcceptsNothingNew(t *testing.T) {
	t.Parallel()
	for _, with := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(with.String(), func(t *testing.T) {
			t.Parallel()
			h := newHome(t)
			h.env = append(h.env, "ACCESSION_HTTP_SHUTDOWN_TIMEOUT=5m") // what was accepted is finished, however slow the machine
			s := h.serve()
			c := s.shelf()

			slow := s.beginUpload("/api/v1/categories/"+c.ID+"/books", newBook("Slow"))
			tick, enough := countdown(100)
			result := writers(8, s.url, c.ID, tick)
			<-enough
			s.signal(with)
			address := strings.TrimPrefix(s.url, "http://")
			for { // until the port is closed
				conn, err := net.Dial("tcp", address)
				if err != nil {
					break
				}
				conn.Close()
			}
			acknowledged := append(result(), slow.finish())
			if r := s.wait(); r.exit != 0 || strings.Count(r.out, "\n") != 1 {
				t.Errorf("after %v: exit %d, stdout %q, stderr:\n%s", with, r.exit, r.out, r.err)
			}
			h.verified(h.position("accession.db"))
			s = h.serve()
			s.holds(c, acknowledged, 0) // whoever was accepted was told
			s.stop(syscall.SIGINT)
		})
	}
}

// upload is a request of which the server has begun to read the body.
type upload struct {
	t    *home
	conn net.Conn
	r    *bufio.Reader
	rest []byte
}

func (s *server) beginUpload(path string, body any) upload {
	t := s.home
	t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", path, len(b))
	u := upload{t, conn, bufio.NewReader(conn), b[1:]}
	// The server says this when it wants the body: it is being served.
	if line, err := u.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("the server does not ask for the body: %q %v", line, err)
	}
	if _, err := u.r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(b[:1]); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u upload) finish() book {
	u.t.Helper()
	if _, err := u.conn.Write(u.rest); err != nil {
		u.t.Fatal(err)
	}
	answer, err := http.ReadResponse(u.r, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	defer answer.Body.Close()
	var b book
	if err := json.NewDecoder(answer.Body).Decode(&b); err != nil || answer.StatusCode != http.StatusCreated {
		u.t.Fatalf("the slow upload: %s %v", answer.Status, err)
	}
	return b
}

func TestAClientThatNeverFinishesDoesNotKeepTheServer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.env = append(h.env, "ACCESSION_HTTP_SHUTDOWN_TIMEOUT=50ms")
	s := h.serve()
	c := s.shelf()
	s.beginUpload("/api/v1/categories/"+c.ID+"/books", newBook("Never"))
	s.signal(syscall.SIGTERM)
	r := s.wait()
	if r.exit != 5 || !strings.Contains(r.err, "Some requests took longer than 50ms to finish and were cut off.") {
		t.Errorf("exit %d, stderr:\n%s", r.exit, r.err)
	}
	h.verified(4)
}

func TestInterruptingTheStartSaysSo(t *testing.T) {
	t.Parallel()
	var r result
	h := inTime(t, func(h *home) bool {
		p := h.start("serve", "--sample", "--addr", "127.0.0.1:0")
		p.await(100)
		p.signal(syscall.SIGINT)
		r = p.wait()
		return h.position("accession.db") < sampleEnd
	})
	if r.exit != 1 || r.out != "" || !strings.Contains(r.err, "accession: Interrupted. The import had come to ") ||
		!strings.Contains(r.err, "run `accession serve --sample` again") {
		t.Errorf("exit %d, stdout %q, stderr:\n%s", r.exit, r.out, r.err)
	}
	h.verified(h.position("accession.db"))
}
