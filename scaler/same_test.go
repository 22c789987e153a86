package scaler

import (
	"reflect"
	"testing"
	"time"

	"spillway/scaler/fleet"
)

// TestSameSeesEveryField changes each field of each record: a change that is
// not seen would never reach the ledger.
func TestSameSeesEveryField(t *testing.T) {
	seesAll(t, sameMachine)
	seesAll(t, sameOrder)
	seesAll(t, sameInstance)
}

func seesAll[T any](t *testing.T, same func(a, b T) bool) {
	var zero T
	if !same(zero, zero) {
		t.Errorf("%T: a zero record is not the same as itself", zero)
	}
	fields := reflect.TypeFor[T]()
	for n := range fields.NumField() {
		f := fields.Field(n)
		if f.Tag.Get("json") == "-" {
			continue // not stored
		}
		if f.Anonymous {
			for k := range f.Type.NumField() {
				sees(t, same, []int{n, k})
			}
			continue
		}
		sees(t, same, []int{n})
	}
}

func sees[T any](t *testing.T, same func(a, b T) bool, path []int) {
	var changed, zero T
	at := reflect.ValueOf(&changed).Elem().FieldByIndex(path)
	disturb(t, at)
	if same(zero, changed) || same(changed, zero) {
		t.Errorf("%T: a change of %s is not seen", zero, reflect.TypeFor[T]().FieldByIndex(path).Name)
	}
}

// disturb gives a field a value that is not zero.
func disturb(t *testing.T, v reflect.Value) {
	switch k := v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1, 0)))
		return
	case []fleet.Stage:
		v.Set(reflect.ValueOf([]fleet.Stage{{Name: "ready"}}))
		return
	case map[string]fleet.Bound:
		v.Set(reflect.ValueOf(map[string]fleet.Bound{"a": {CloudID: "i-1"}}))
		return
	default:
		_ = k
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
	default:
		t.Fatalf("no value for a %v", v.Type())
	}
}
