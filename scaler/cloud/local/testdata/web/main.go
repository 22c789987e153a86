// Command web is the container of a test: it answers requests, and from the
// request /burn on it uses all the CPU it gets.
package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	err := http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "here")
		if r.URL.Path == "/burn" {
			go burn()
			go burn()
		}
	}))
	panic(err)
}

func burn() {
	for {
	}
}
