package configs

// book remembers of a configuration where its values come from, and what in it
// is valid but hardly meant.
type book struct {
	origins  map[string]Origin
	warnings Errors
}

// Origin says where the value of an option comes from. The path is that of the
// reference, with names and numbers of list elements put in:
// "upstreams.web.key", "routes[0].host".
func (b *book) Origin(path string) Origin {
	if o, ok := b.origins[path]; ok {
		return o
	}
	return Origin{From: "default"}
}

// Warnings are what is valid but hardly meant, in the order of the file.
func (b *book) Warnings() Errors { return b.warnings }

func (b *book) warn(path, found, remark string) {
	e := b.at(path)
	e.Found, e.Allowed = found, remark
	b.warnings = append(b.warnings, e)
}

// at is a mistake at the place of an option, or at that of the section that
// should hold it.
func (b *book) at(path string) *Error {
	e := &Error{Key: path}
	for p := path; ; p = parent(p) {
		o, ok := b.origins[p]
		switch {
		case ok && o.From == "file":
			e.File, e.Line, e.Col = o.File, o.Line, o.Col
			return e
		case ok:
			e.From = o.From
			return e
		case p == "":
			return e
		}
	}
}

// keepStronger settles two options that exclude each other when they come
// from different places: a token from the environment replaces a token_file
// of the file. Two from one place are a mistake, which check reports.
func (b *book) keepStronger(pathA, pathB string, valueA, valueB *string) {
	if *valueA == "" || *valueB == "" {
		return
	}
	switch ra, rb := b.Origin(pathA).rank, b.Origin(pathB).rank; {
	case ra > rb:
		*valueB = ""
	case rb > ra:
		*valueA = ""
	}
}
