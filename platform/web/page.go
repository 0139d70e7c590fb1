package web

import "net/http"

// Page is one page, ready to be rendered.
type Page struct {
	Template string  // the name of the template file, without its ending
	Title    string  // what the browser's tab says, before the product's name; "" for the front page
	Trail    []Crumb // the way here from the front page, this page last; empty on the front page
	Search   *Search // where the search box in the head of the page looks; nil for none
	Notice   string  // something to know before reading on; "" for nothing
	Body     any     // what the template works with

	// Wrong is why the page shows a form again: its kind gives the status, and what is not for users goes to the log. nil: nothing is.
	Wrong  error
	Header http.Header // sent besides the renderer's own
	Goto   string      // when set, there is no page: the reader is sent on to this path (303)
}

// Crumb is one step of the trail.
type Crumb struct {
	Name string
	Path string // "" for the page itself
	Lang string // the language of Name as a BCP 47 tag, if it is not English
}

// Search says where the search box looks.
type Search struct {
	Path  string // the page that answers, with the query as its parameter q
	Label string // what is searched: "Search Main Library"
	Query string // what is in the box
}
