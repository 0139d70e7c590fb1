package isbn_test

import (
	"fmt"
	"strings"
	"testing"

	"accession/platform/isbn"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		want     isbn.ISBN
		err      string
	}{
		{"13 digits", "9780306406157", "9780306406157", ""},
		{"13 digits with hyphens", "978-0-306-40615-7", "9780306406157", ""},
		{"13 digits with spaces", " 978 0 306 40615 7 ", "9780306406157", ""},
		{"typeset dashes", "978‐0–306‑40615−7", "9780306406157", ""},
		{"10 digits become 13", "0-306-40615-2", "9780306406157", ""},
		{"10 digits with X", "0-8044-2957-X", "9780804429573", ""},
		{"10 digits with x", "080442957x", "9780804429573", ""},
		{"prefix 979", "979-10-90636-07-1", "9791090636071", ""},
		{"check digit 0", "9783161484100", "9783161484100", ""},

		{"nothing", "", "", "has no digits; an ISBN has 10 or 13"},
		{"hyphens only", " - ", "", "has no digits; an ISBN has 10 or 13"},
		{"nine digits", "030640615", "", "has 9 digits; an ISBN has 10 or 13"},
		{"twelve digits", "978030640615", "", "has 12 digits; an ISBN has 10 or 13"},
		{"a letter", "97803064O6157", "", `contains 'O'; an ISBN has only digits, hyphens and, as the last of ten, X`},
		{"digits of another script", "978030640615٧", "", `contains '٧'; an ISBN has only digits, hyphens and, as the last of ten, X`},
		{"not UTF-8", "978\xff", "", `contains '�'; an ISBN has only digits, hyphens and, as the last of ten, X`},
		{"X in the middle", "08044X2957", "", "contains X, which may only be the last of ten digits"},
		{"X at the end of 13", "978030640615X", "", "contains X, which may only be the last of ten digits"},
		{"another prefix", "9770306406157", "", "begins with 977; an ISBN of 13 digits begins with 978 or 979"},
		{"printed music", "979-0-060-11561-5", "", "begins with 979-0: that is the number of printed music (ISMN), not an ISBN"},
		{"wrong check digit of 13", "9780306406154", "", "ends in the check digit 4 where 7 belongs; compare it with the book, one of its digits is wrong"},
		{"wrong check digit of 10", "0306406153", "", "ends in the check digit 3 where 2 belongs; compare it with the book, one of its digits is wrong"},
		{"wrong check digit where X belongs", "0804429570", "", "ends in the check digit 0 where X belongs; compare it with the book, one of its digits is wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := isbn.Parse(c.in)
			var msg string
			if err != nil {
				msg = err.Error()
			}
			if got != c.want || msg != c.err {
				t.Errorf("Parse(%q) = %q, %q\nwant %q, %q", c.in, got, msg, c.want, c.err)
			}
		})
	}
}

func TestEverySingleWrongDigitIsFound(t *testing.T) {
	t.Parallel()
	for _, right := range []string{"9780306406157", "0306406152"} {
		for i := range right {
			for d := byte('0'); d <= '9'; d++ {
				wrong := right[:i] + string(d) + right[i+1:]
				if _, err := isbn.Parse(wrong); (err == nil) != (wrong == right) {
					t.Errorf("Parse(%q) = %v", wrong, err)
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "978-0-306-40615-7", "0-8044-2957-X", "979-10-90636-07-1", "9780306406158", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := isbn.Parse(s)
		if err != nil {
			if n != "" {
				t.Errorf("Parse(%q) = %q beside the error %v", s, n, err)
			}
			return
		}
		if len(n) != 13 || strings.Trim(n.String(), "0123456789") != "" {
			t.Errorf("Parse(%q) = %q is not thirteen digits", s, n)
		}
		if again, err := isbn.Parse(n.String()); again != n || err != nil {
			t.Errorf("Parse(%q) = %q, and again %q, %v", s, n, again, err)
		}
	})
}

func ExampleParse() {
	n, _ := isbn.Parse("0-8044-2957-X")
	fmt.Println(n)
	_, err := isbn.Parse("978-0-306-40615-4")
	fmt.Println("isbn", err)
	// Output:
	// 9780804429573
	// isbn ends in the check digit 4 where 7 belongs; compare it with the book, one of its digits is wrong
}
