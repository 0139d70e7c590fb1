package exchange

import (
	"cmp"
	"slices"

	"accession/platform/reference"
)

// shelf is a category with everything that is to stand in it at some time: an import of it under way.
type shelf struct {
	*Category
	stands []stand // by number; what has none comes last

	founding // how far the import has come with it
}

// stand is a book in one of its places.
type stand struct {
	*Book
	at     int  // how many places it has had before
	last   bool // this is where it stays
	number int  // in the category; 0: not known
}

// step is one thing to do: to bring a book to a shelf or, without a book, to be done with the shelf.
type step struct {
	in *shelf
	stand
}

// shelves are the library's categories by number, with the books that stand in them; with their former places too, there are
// also the categories that are gone but had one of them.
func (l *Library) shelves(former bool) []*shelf {
	var all []*shelf
	numbered := map[int]*shelf{}
	for _, c := range l.Categories {
		s := &shelf{Category: c}
		if all = append(all, s); c.Number > 0 {
			numbered[c.Number] = s
		}
		for _, b := range c.Books {
			at := 0
			if former {
				at = len(b.Former)
			}
			s.stands = append(s.stands, stand{b, at, true, b.Number})
		}
	}
	in := func(n, last int) *shelf { // one that is gone has used that many numbers
		s := numbered[n]
		if s == nil {
			s = &shelf{Category: goneCategory(l.ID, n)}
			all, numbered[n] = append(all, s), s
		}
		if s.gone {
			s.Last = max(s.Last, last)
		}
		return s
	}
	if former {
		for _, c := range l.Categories {
			for _, b := range c.Books {
				for at, place := range b.Former {
					s := in(place.Category, place.Book)
					s.stands = append(s.stands, stand{b, at, false, place.Book})
				}
			}
		}
		for _, u := range l.UsedUp {
			s := in(u.In.Category, cmp.Or(u.In.Book, u.Last))
			s.line = cmp.Or(s.line, u.line)
		}
	}
	slices.SortStableFunc(all, func(a, b *shelf) int { return byNumber(a.Number, b.Number) })
	for _, s := range all {
		slices.SortStableFunc(s.stands, func(a, b stand) int { return byNumber(a.number, b.number) })
		if len(s.stands) == 0 || former && s.Last > 0 && s.stands[0].number != 1 { // a category is never created without a book
			s.stands = slices.Insert(s.stands, 0, goneStand(s.ID, 1))
		}
	}
	return all
}

// schedule gives an order in which all this can come about with ordinary commands: a category after the one before it, and with
// a book that is new; in a category one number after the other; and a book's places one after the other. The same shelves
// always give the same order. Without former places it is that of the shelves. A stand for which there is no such order is
// stuck; the order ends before it.
//
// If there is an order at all, such as the one in which things once happened, this finds one: nothing that is done takes the
// way from anything else, so whatever can be done next may be.
func schedule(shelves []*shelf) (steps []step, stuck *stand) {
	opened := 0                       // how many shelves have their first book
	next := make([]int, len(shelves)) // how many stands of each are done
	live := make([]int, len(shelves)) // how many books that stay somewhere stand there
	had, where := map[*Book]int{}, map[*Book]int{}
	waiting := map[*Book][]int{} // shelves, by the book that they wait for
	end := func(i int) {
		if s := shelves[i]; next[i] == len(s.stands) && (!s.gone || live[i] == 0) {
			steps = append(steps, step{in: s})
		}
	}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		if i > opened || i == len(shelves) {
			continue
		}
		for s := shelves[i]; next[i] < len(s.stands); {
			at := s.stands[next[i]]
			if had[at.Book] != at.at || next[i] == 0 && at.at > 0 {
				waiting[at.Book] = append(waiting[at.Book], i)
				break
			}
			steps = append(steps, step{s, at})
			if next[i]++; next[i] == 1 {
				opened++
				queue = append(queue, i+1)
			}
			if at.at > 0 {
				from := where[at.Book]
				live[from]--
				if shelves[from].gone {
					end(from)
				}
			}
			if had[at.Book]++; !at.Book.gone {
				where[at.Book] = i
				live[i]++
			}
			queue = append(queue, waiting[at.Book]...)
			delete(waiting, at.Book)
			end(i)
		}
	}
	for i, s := range shelves {
		if next[i] < len(s.stands) {
			return steps, &s.stands[next[i]]
		}
	}
	return steps, nil
}

// checkPlaces finds what contradicts itself in the places of the library's books, those that are gone too. Last is complete.
func (l *Library) checkPlaces(used *usedUp) error {
	last := map[int]int{} // the last number in each category that is in the file
	for _, c := range l.Categories {
		last[c.Number] = c.Last
	}
	moved, err := l.checkFormer(last)
	if err != nil {
		return err
	}
	gone, err := l.checkUsedUp(last, used)
	if err != nil {
		return err
	}
	if !moved && len(l.UsedUp) == 0 {
		return nil
	}
	shelves := l.shelves(true)
	for _, s := range shelves {
		for i, at := range s.stands {
			place := reference.Reference{Category: s.Number, Book: at.number}
			switch line, said := gone[place]; {
			case said && !at.Book.gone:
				return wrong(max(line, at.line), "a book that is in the file was in %s, and what was there is said to be gone", place)
			case i > 0 && at.number > 0 && at.number == s.stands[i-1].number:
				return wrong(max(at.line, s.stands[i-1].line), "the place %s is taken by another book in the file, or by this one before", place)
			case i == 0 && at.at > 0:
				return wrong(at.line, "the book was moved to the first number of a category, and a category begins with a book that is new")
			}
		}
		if n := len(s.stands); s.gone {
			if err := used.count(cmp.Or(s.line, s.stands[n-1].line), s.Last, n); err != nil {
				return err
			}
		}
	}
	if _, stuck := schedule(shelves); stuck != nil {
		return wrong(stuck.line, "the book cannot have had its places in this order beside the other books in the file")
	}
	return nil
}

// checkFormer looks at each former place by itself, and tells whether there are any. last are the last numbers of the categories
// that are in the file.
func (l *Library) checkFormer(last map[int]int) (moved bool, err error) {
	for _, c := range l.Categories {
		for _, b := range c.Books {
			moved = moved || len(b.Former) > 0
			for i, place := range b.Former {
				then := c.Number
				if i+1 < len(b.Former) {
					then = b.Former[i+1].Category
				}
				switch n, live := last[place.Category]; {
				case place.Category > l.Last:
					return moved, wrong(b.line, "its former place %s is in no category: the last number of one is %d", place, l.Last)
				case live && place.Book > n:
					return moved, wrong(b.line, "its former place %s was never used: the last number in that category is %d", place, n)
				case then == place.Category:
					return moved, wrong(b.line, "from its former place %s it cannot have moved within the category", place)
				}
			}
		}
	}
	return moved, nil
}

// checkUsedUp looks at what is said of things that are gone, each by itself, and gives the lines of the books among them. last
// are the last numbers of the categories that are in the file.
func (l *Library) checkUsedUp(last map[int]int, used *usedUp) (books map[reference.Reference]int, err error) {
	books = map[reference.Reference]int{}
	for _, u := range l.UsedUp {
		n, live := last[u.In.Category]
		switch isBook := u.In.Levels() == 2; {
		case u.In.Category > l.Last:
			return nil, wrong(u.line, "in names %s, and that is in no category: the last number of one is %d", u.In, l.Last)
		case live && !isBook:
			return nil, wrong(u.line, "in names %s as gone, and that category is in the file: write category:ID", u.In)
		case live && u.In.Book > n:
			return nil, wrong(u.line, "in names %s, and that was never used: the last number in that category is %d", u.In, n)
		case isBook: // a category is counted with what else is said of it
			books[u.In] = u.line
			if err := used.count(u.line, u.Last, 0); err != nil {
				return nil, err
			}
		}
	}
	return books, nil
}
