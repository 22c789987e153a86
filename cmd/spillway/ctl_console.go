package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// console is the terminal that ctl itself runs in, if it is one.
type console struct{ in, out *os.File }

// isTerminal reports whether a person sits at both ends.
func (c console) isTerminal() bool {
	for _, f := range [...]*os.File{c.in, c.out} {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
			return false
		}
	}
	return true
}

// raw passes every key on as it is typed, ^C among them, and shows nothing by
// itself: the terminal in the container does. restore must be called on every
// way out.
func (c console) raw() (restore func(), err error) {
	fd := int(c.in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("cannot read terminal settings: %w", err)
	}
	t := *before
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &t); err != nil {
		return nil, fmt.Errorf("cannot change terminal settings: %w", err)
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil // a terminal that is gone needs none
}

// size is columns and rows, 0 and 0 if unknown.
func (c console) size() (columns, rows uint) {
	size, err := unix.IoctlGetWinsize(int(c.out.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return uint(size.Col), uint(size.Row)
}

// sizes tells of every change of the size until ctx ends.
func (c console) sizes(ctx context.Context) <-chan [2]uint {
	changed, sizes := make(chan os.Signal, 1), make(chan [2]uint)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		defer signal.Stop(changed)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			columns, rows := c.size()
			select {
			case <-ctx.Done():
				return
			case sizes <- [2]uint{columns, rows}:
			}
		}
	}()
	return sizes
}
