// Command probe is what the tests run in containers: each word does one thing.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch word := os.Args[1]; word {
	case "serve": // ADDRESS
		go func() { panic(http.ListenAndServe(os.Args[2], http.HandlerFunc(answer))) }()
		<-term
	case "speak": // LINES, on both streams, then waits
		n, _ := strconv.Atoi(os.Args[2])
		for i := range n {
			fmt.Println("out", i)
			fmt.Fprintln(os.Stderr, "err", i)
		}
		<-term
		fmt.Println("bye")
	case "burn":
		go func() {
			for {
			}
		}()
		<-term
	case "deaf": // to TERM
		for {
			<-term
		}
	case "exit": // CODE
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	case "copy": // input to output until its end
		n, err := io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintln(os.Stderr, "copied", n, err)
		os.Exit(7)
	case "terminal": // tells its sizes until it reads a line
		terminal()
	case "write": // PATH
		if err := os.WriteFile(os.Args[2], []byte("x"), 0o600); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "status": // of this process, as the kernel has it
		b, _ := os.ReadFile("/proc/self/status")
		os.Stdout.Write(b)
	default:
		fmt.Println("unknown word", word)
		os.Exit(2)
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	host, _ := os.Hostname()
	fmt.Fprintf(w, "%s %d %s", host, os.Getuid(), os.Getenv("GREETING"))
}

func terminal() {
	changed := make(chan os.Signal, 16)
	signal.Notify(changed, syscall.SIGWINCH)
	line := make(chan byte)
	go func() {
		var b [1]byte
		os.Stdin.Read(b[:])
		line <- b[0]
	}()
	size := func() {
		ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			fmt.Println("no terminal:", err)
			return
		}
		fmt.Printf("[%dx%d]\n", ws.Col, ws.Row)
	}
	size()
	for {
		select {
		case <-changed:
			size()
		case b := <-line:
			fmt.Printf("read %c\n", b)
			os.Exit(3)
		}
	}
}
