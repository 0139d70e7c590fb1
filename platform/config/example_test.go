package config_test

import (
	"fmt"

	"accession/platform/config"
)

func ExampleLoad() {
	c, settings, err := config.Load(config.Sources{
		Env:         []string{"ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER=reject"},
		Flags:       map[string]string{"http.addr": ":0"},
		Constraints: map[string][]string{"book-number": {"reject", "lock"}, "isbn": {"lock"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.HTTP.Addr, c.Consistency.Modes)
	for _, s := range settings[10:12] {
		fmt.Println(s.Key, "=", s.Value, "from", s.From)
	}
	// Output:
	// :0 map[book-number:reject isbn:lock]
	// consistency.modes.book-number = reject from ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER
	// consistency.modes.isbn = lock from default
}

// Every mistake is named at once, with what was probably meant.
func ExampleLoad_mistakes() {
	_, _, err := config.Load(config.Sources{
		Env: []string{
			"ACCESSION_CONSISTENCY_LOCK_TIMOUT=5s",
			"ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER=eventual",
		},
		Flags:       map[string]string{"http.addr": "8080"},
		Constraints: map[string][]string{"book-number": {"reject", "lock"}},
	})
	fmt.Println(err)
	// Output:
	// 3 mistakes in the configuration:
	//   ACCESSION_CONSISTENCY_LOCK_TIMOUT: there is no such variable; did you mean ACCESSION_CONSISTENCY_LOCK_TIMEOUT?
	//   ACCESSION_CONSISTENCY_MODES_BOOK_NUMBER: consistency.modes.book-number: book-number cannot be kept in the mode eventual; it can have reject or lock
	//   --addr: http.addr: "8080" is not host:port, such as 127.0.0.1:8080, :8080 or [::1]:0
}
