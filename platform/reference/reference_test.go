package reference_test

import (
	"fmt"
	"testing"

	"accession/platform/reference"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const not = "is not a reference such as 3, 3.14 or 3.14.2: "
	for _, c := range []struct {
		name, in string
		want     reference.Reference
		levels   int
		err      string
	}{
		{"a category", "3", reference.Reference{Category: 3}, 1, ""},
		{"a book", "3.14", reference.Reference{Category: 3, Book: 14}, 2, ""},
		{"an edition", "3.14.2", reference.Reference{Category: 3, Book: 14, Edition: 2}, 3, ""},
		{"zeros inside a number", "10.200.1000", reference.Reference{Category: 10, Book: 200, Edition: 1000}, 3, ""},
		{"the highest number", "2147483647", reference.Reference{Category: reference.Max}, 1, ""},

		{"nothing", "", reference.Reference{}, 0, not + "its first number is missing"},
		{"a dot at the end", "3.", reference.Reference{}, 0, not + "its second number is missing"},
		{"a dot at the start", ".3", reference.Reference{}, 0, not + "its first number is missing"},
		{"two dots", "3..2", reference.Reference{}, 0, not + "its second number is missing"},
		{"four numbers", "1.2.3.4", reference.Reference{}, 0, not + "it has more than three numbers"},
		{"zero", "0", reference.Reference{}, 0, not + "its first number begins with 0"},
		{"a leading zero", "3.014", reference.Reference{}, 0, not + "its second number begins with 0"},
		{"a sign", "3.+14", reference.Reference{}, 0, not + "its second number has other characters than the digits 0 to 9"},
		{"a minus", "-3", reference.Reference{}, 0, not + "its first number has other characters than the digits 0 to 9"},
		{"white space", " 3.14", reference.Reference{}, 0, not + "its first number has other characters than the digits 0 to 9"},
		{"an underscore", "3.1_4", reference.Reference{}, 0, not + "its second number has other characters than the digits 0 to 9"},
		{"a letter", "3.14.b", reference.Reference{}, 0, not + "its third number has other characters than the digits 0 to 9"},
		{"digits of another script", "٣", reference.Reference{}, 0, not + "its first number has other characters than the digits 0 to 9"},
		{"too high a number", "3.14.2147483648", reference.Reference{}, 0, not + "its third number is higher than 2147483647"},
		{"a number beyond any integer", "99999999999999999999", reference.Reference{}, 0, not + "its first number is higher than 2147483647"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := reference.Parse(c.in)
			var msg string
			if err != nil {
				msg = err.Error()
			}
			if got != c.want || msg != c.err || got.Levels() != c.levels {
				t.Errorf("Parse(%q) = %+v, %d levels, %q\nwant %+v, %d levels, %q", c.in, got, got.Levels(), msg, c.want, c.levels, c.err)
			}
			if err == nil && got.String() != c.in {
				t.Errorf("%q is written %q", c.in, got)
			}
		})
	}
}

func TestANumberBelowOneThatIsNotGivenDoesNotCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   reference.Reference
		want string
	}{
		{reference.Reference{}, ""},
		{reference.Reference{Book: 14, Edition: 2}, ""},
		{reference.Reference{Category: 3, Edition: 2}, "3"},
	} {
		if got := c.in.String(); got != c.want {
			t.Errorf("%+v is written %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "3", "3.14", "3.14.2", "03", "1.2.3.4", "2147483648", "-1", "1."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := reference.Parse(s)
		if err != nil {
			if r != (reference.Reference{}) {
				t.Errorf("Parse(%q) = %+v beside the error %v", s, r, err)
			}
			return
		}
		if r.String() != s {
			t.Errorf("Parse(%q) is written %q", s, r)
		}
	})
}

func ExampleParse() {
	r, _ := reference.Parse("3.14.2")
	fmt.Println(r.Category, r.Book, r.Edition)
	fmt.Println(reference.Reference{Category: 3, Book: 14})
	// Output:
	// 3 14 2
	// 3.14
}
