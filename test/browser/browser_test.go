// Package browser_test walks through the pages in a real browser, headless Chromium, with JavaScript off, as a cataloguer
// would: it follows links by what they say, fills in what labels name, presses buttons, and reads what is on the page.
//
// Where there is no Chromium the tests are skipped, and fail if CI=true. Every test has a browser of its own, with nothing in
// its profile, and a tab can be opened beside another.
package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"accession/platform/database/dbtest"
	"accession/test/app"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

// patience is how long one step may take: much longer than it takes.
const patience = time.Minute

// chromium is the browser's program.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no Chromium, and with CI=true no test is skipped")
	}
	t.Skip("there is no Chromium (Debian: apt-get install chromium)")
	return ""
}

// reader is somebody in front of a tab.
type reader struct {
	*testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the tab in it
	url string          // of the server
}

// sit starts a browser that looks at a server.
func sit(t *testing.T, h http.Handler) *reader {
	t.Helper()
	program := chromium(t)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoSandbox, chromedp.Headless}
	for _, flag := range []string{
		"disable-gpu", "disable-dev-shm-usage", "disable-quic", "disable-background-networking", "disable-component-update", "disable-default-apps",
		"disable-extensions", "disable-sync", "no-default-browser-check",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...) // the test's own context ends before its cleanup
	t.Cleanup(stop)
	return (&reader{T: t, ctx: ctx, url: server.URL}).tab()
}

// tab opens another tab. JavaScript is off in it, and it may ask for nothing but what the server has.
func (r *reader) tab() *reader {
	r.Helper()
	ctx, stop := chromedp.NewContext(r.ctx)
	r.Cleanup(stop)
	other := &reader{T: r.T, ctx: ctx, url: r.url}
	off := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
	if err := chromedp.Do(ctx, off); err != nil { // which starts the browser: its context must not end soon
		r.Fatalf("open a tab: %v", err)
	}
	err := chromedp.Listen(ctx, func(event any) {
		if asked, ok := event.(*network.EventRequestWillBeSent); ok && !strings.HasPrefix(asked.Request.URL, r.url+"/") {
			r.Errorf("the page asked for %s", asked.Request.URL)
		}
	})
	if err != nil {
		r.Fatalf("listen to a tab: %v", err)
	}
	return other
}

// do does something with the page.
func (r *reader) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		r.Fatalf("%s: %v\non the page %s", what, err, r.text())
	}
}

// goes does something that leads to another page, which must be answered with the status.
func (r *reader) goes(what string, status int, steps ...chromedp.Action[chromedp.Void]) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		r.Fatalf("%s: %v\non the page %s", what, err, r.text())
	}
	if int(answer.Status) != status {
		r.Fatalf("%s: answered %d, want %d: %s", what, answer.Status, status, r.text())
	}
}

// open types an address.
func (r *reader) open(path string, status int) {
	r.Helper()
	r.goes("open "+path, status, chromedp.Navigate(r.url+path))
}

// follow follows the first link that says this.
func (r *reader) follow(words string) {
	r.Helper()
	r.goes("follow "+words, http.StatusOK, chromedp.Click(fmt.Sprintf(`//a[normalize-space(.)=%q]`, words)))
}

// press presses the button that says this.
func (r *reader) press(words string, status int) {
	r.Helper()
	r.goes("press "+words, status, chromedp.Click(fmt.Sprintf(`//button[normalize-space(.)=%q]`, words)))
}

// labelled is what the label with these words is for.
func labelled(label string) string {
	return fmt.Sprintf(`//*[@id=//label[normalize-space(text())=%q]/@for]`, label)
}

// fill puts text into the input with the label, in place of what is there: by keys, as people do.
func (r *reader) fill(label, text string) {
	r.Helper()
	r.do("fill in "+label, chromedp.Focus(labelled(label)), chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(chromedp.ModifierCtrl)),
		chromedp.KeyEvent(kb.Home, chromedp.KeyModifiers(chromedp.ModifierCtrl, chromedp.ModifierShift)), chromedp.KeyEvent(text))
}

// holds checks what is in the input with the label.
func (r *reader) holds(label, text string) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	if got, err := chromedp.Run(ctx, chromedp.Value(labelled(label))); err != nil || got != text {
		r.Errorf("%s holds %q, want %q (%v)", label, got, text, err)
	}
}

// text is what can be read on the page.
func (r *reader) text() string {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text("body"))
	if err != nil {
		return fmt.Sprintf("(which cannot be read: %v)", err)
	}
	return text
}

// reads checks that all of it can be read on the page.
func (r *reader) reads(parts ...string) {
	r.Helper()
	text := r.text()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			r.Errorf("there is no %q on the page\n%s", p, text)
		}
	}
}

// lacks checks that it cannot be read on the page.
func (r *reader) lacks(part string) {
	r.Helper()
	if text := r.text(); strings.Contains(text, part) {
		r.Errorf("there is %q on the page\n%s", part, text)
	}
}

func TestJavaScriptIsOff(t *testing.T) {
	t.Parallel()
	r := sit(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<title>x</title><link rel="icon" href="data:,"/><p id="it">It is off.</p><script>document.getElementById("it").textContent = "It is on."</script>`)
	}))
	r.open("/", http.StatusOK)
	r.reads("It is off.")
}

func TestACataloguersDay(t *testing.T) {
	t.Parallel()
	a := app.Start(t, app.Config{DB: dbtest.SQLite(t)})
	r := sit(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Settle() // which may take longer on a busy machine than a page waits
		a.ServeHTTP(w, r)
	}))

	// The first book.
	r.open("/", http.StatusOK)
	r.reads("No library yet")
	r.follow("Open a library")
	r.fill("Name", "Main Library")
	r.fill("Your name", "Ada")
	r.press("Open the library", http.StatusOK)
	r.reads("Main Library", "No category yet")
	r.follow("Create a category")
	r.fill("Name of the category", "Plays")
	r.fill("Title", "L’Avare")
	r.fill("Authors", "Molière")
	r.fill("ISBN", "978-0-14-143951-8")
	r.press("Create the category", http.StatusOK)
	r.reads("Plays", "1 book", "1.1", "L’Avare", "Molière")
	r.follow("Main Library")
	r.follow("Create a category")
	r.fill("Name of the category", "Poems")
	r.fill("Title", "Élégies")
	r.press("Create the category", http.StatusOK)

	// A book with a mistake in the form, and one in the title.
	r.follow("Main Library")
	r.follow("Plays")
	r.follow("Add a book")
	r.fill("Title", "Hamlett")
	r.fill("Authors", "Shakespeare\nAnon.")
	r.fill("Year", "MDC")
	r.press("Add the book", http.StatusUnprocessableEntity)
	r.reads("Nothing is stored yet", "Year is not a year: write it in digits, as 1813.")
	r.holds("Title", "Hamlett")
	r.holds("Authors", "Shakespeare\nAnon.")
	r.holds("Year", "MDC")
	r.fill("Year", "1603")
	r.press("Add the book", http.StatusOK)
	r.reads("1.2", "Hamlett", "Shakespeare; Anon.", "1603", "Book added")
	r.follow("Add an edition")
	r.fill("Publisher", "Penguin")
	r.press("Add the edition", http.StatusOK)
	r.reads("1.2.2", "Penguin", "replaces")

	// Somebody else corrects it in the meantime.
	r.follow("Correct the book")
	other := r.tab()
	other.open("/", http.StatusOK)
	other.follow("Main Library")
	other.follow("Plays")
	other.follow("Hamlett")
	other.follow("Correct the book")
	other.fill("Title", "Hamlet, Prince of Denmark")
	other.press("Correct it", http.StatusOK)
	other.reads("Hamlet, Prince of Denmark")
	r.fill("Title", "Hamlet")
	r.press("Correct it", http.StatusPreconditionFailed)
	r.reads("Somebody else has changed this since you opened the form, and nothing of yours is stored yet.", "There now: Hamlet, Prince of Denmark")
	r.holds("Title", "Hamlet")
	r.press("Correct it", http.StatusOK)
	r.reads("Hamlet", "Shakespeare; Anon.")

	// It moves, and its old label still finds it.
	r.follow("Move the book")
	r.reads("It stands in Plays now.")
	r.do("choose a category", chromedp.Focus(labelled("To the category")), chromedp.KeyEvent("2 Poems"))
	r.press("Move it", http.StatusOK)
	r.reads("2.2", "2.2.1", "2.2.2", "Book moved to another category as number 2")
	r.fill("Search Main Library", "1.2.2")
	r.press("Search", http.StatusOK)
	r.reads("2.2.2", "Hamlet", "Penguin")
	r.fill("Search Main Library", "shakes haml")
	r.press("Search", http.StatusOK)
	r.reads("1 match", "2.2")

	// It is withdrawn, and hidden but not gone.
	r.follow("Hamlet")
	r.follow("Withdraw the book")
	r.fill("Reason", "Eaten by mice")
	r.press("Withdraw it", http.StatusOK)
	r.reads("withdrawn", "Book withdrawn: Eaten by mice")
	r.follow("Poems")
	r.reads("Élégies")
	r.lacks("Hamlet")
	r.follow("Show what was withdrawn, too")
	r.reads("Hamlet")
	r.fill("Search Main Library", "2.2")
	r.press("Search", http.StatusOK)
	r.reads("Nothing in Main Library matches.", "But something that was withdrawn does.")
	r.follow("Show what was withdrawn, too")
	r.reads("Hamlet", "withdrawn")

	r.open("/shelves", http.StatusNotFound)
	r.reads("Not found", "There is no page at /shelves.")
	r.follow("All libraries")
	r.reads("Main Library")
}
