// Package discovery reads across the three contexts: it finds things by words, ISBN and reference, tells their histories,
// shows the log as a page of events, and has the pages on which people browse.
//
// It owns no fact and has no command of its own: the forms on its pages run those of the other modules, as the API does. It imports
// their events and commands, never their tables, and keeps one projection of its own,
// [Cards]: an entry for every thing, the place of every number, and the words that books are found by. Renames, moves,
// withdrawals and late numbers are a handler each there, and nothing else changes.
//
// Where to look:
//
//   - projection_cards.go says what is kept and which event changes what;
//   - queries.go reads it: a thing, its way up to the library, what stands in it, what a reference means;
//   - search.go understands what someone typed; log.go reads histories and the log itself;
//   - http.go is its part of the API, resources.go how things look there;
//   - pages.go registers the pages and holds what they share; library_pages.go, book_page.go, search_page.go and templates/
//     are the pages; forms.go lists the forms on which people change things, and sends them; drawers.go cuts long ones into ranges of numbers.
package discovery
