package report

import "io"

// WriteHTML writes the page.
func (r *Report) WriteHTML(w io.Writer) error { return WritePage(w, []*Report{r}, nil) }

func WritePage(w io.Writer, reports []*Report, names []string) error { return nil }
