package configs

import (
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// field is one key of a section, read from the struct that declares it.
type field struct {
	name  string // the key
	goes  string // name of the Go field, to find its comment
	index int
	typ   reflect.Type
	rules rules
}

// rules are what the tags of a field allow. They hold for the elements of a
// list.
type rules struct {
	enum     []string // allowed texts
	also     []string // allowed too, but replaced by one of enum on loading
	min, max string   // bounds, written as a value of the field
	short    bool     // a scalar in place of the struct sets this field
}

// fieldsOf lists the keys of a struct in the order of declaration.
func fieldsOf(t reflect.Type) []field {
	var fs []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("yaml")
		if name == "" {
			continue
		}
		fs = append(fs, field{name: name, goes: sf.Name, index: i, typ: sf.Type, rules: rulesOf(sf.Tag)})
	}
	return fs
}

func rulesOf(tag reflect.StructTag) rules {
	r := rules{min: tag.Get("min"), max: tag.Get("max"), short: tag.Get("short") != ""}
	if s, ok := tag.Lookup("enum"); ok {
		r.enum = strings.Split(s, ",")
	}
	if s := tag.Get("also"); s != "" {
		r.also = strings.Split(s, ",")
	}
	return r
}

func fieldNames(fs []field) []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}

// shortField returns the field that a scalar in place of the struct sets.
func shortField(t reflect.Type) (field, bool) {
	for _, f := range fieldsOf(t) {
		if f.rules.short {
			return f, true
		}
	}
	return field{}, false
}

// kind sorts Go types into what a configuration can hold.
type kind int

const (
	kindString kind = iota
	kindSecret
	kindBool
	kindInt
	kindFloat
	kindDuration
	kindSize
	kindPrefix
	kindServer
	kindSection // struct
	kindList    // slice
	kindNamed   // map from names to sections
	kindTexts   // map from names to texts
)

func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return kindDuration
	case reflect.TypeFor[Size]():
		return kindSize
	case reflect.TypeFor[Secret]():
		return kindSecret
	case reflect.TypeFor[netip.Prefix]():
		return kindPrefix
	case reflect.TypeFor[ServerLine]():
		return kindServer
	}
	switch t.Kind() {
	case reflect.Bool:
		return kindBool
	case reflect.Int:
		return kindInt
	case reflect.Float64:
		return kindFloat
	case reflect.Struct:
		return kindSection
	case reflect.Slice:
		return kindList
	case reflect.Map:
		if t.Elem().Kind() == reflect.String {
			return kindTexts
		}
		return kindNamed
	}
	return kindString
}

func (k kind) scalar() bool { return k < kindSection }

// eachLeaf calls f for every option that has one place in the file: all but
// those of sections by name or in lists, and mappings to texts.
func eachLeaf(v reflect.Value, prefix string, f func(path string, fd field, v reflect.Value)) {
	for _, fd := range fieldsOf(v.Type()) {
		path, fv := join(prefix, fd.name), v.Field(fd.index)
		switch kindOf(fd.typ) {
		case kindSection:
			eachLeaf(fv, path, f)
		case kindNamed, kindTexts:
		case kindList:
			if elem := fd.typ.Elem(); kindOf(elem).scalar() || hasShort(elem) {
				f(path, fd, fv)
			}
		default:
			f(path, fd, fv)
		}
	}
}

func hasShort(t reflect.Type) bool {
	if kindOf(t) != kindSection {
		return false
	}
	_, ok := shortField(t)
	return ok
}
