// Package web is the frame that every page stands in: the layout, the style sheet, the headers that keep a page from loading
// or running anything it should not, and the pages that say what went wrong.
//
// [Form] is what people fill in: plain HTML that keeps what was typed when something is wrong with it.
//
// A module that has pages brings templates of its own, each defining "content", and makes a [Renderer] of them. Its handlers
// look things up, or run the command that a form asks for, and return a [Page] or an error; the Renderer writes the answer. Pages
// are complete without JavaScript, and none is allowed to run: see [ContentSecurityPolicy].
package web
