package configs

import (
	"net/netip"
	"strconv"
	"strings"
)

// registration checks that others can reach what is registered.
func (k *checker) registration(a *Admin) {
	if a.RegisterAs == "" || !isToken(a.RegisterAs) {
		k.fail("admin.register_as", strconv.Quote(a.RegisterAs), "a name of letters, digits, dots and dashes", "")
	}
	if a.Advertise != "" && !validAdvertise(a.Advertise) {
		k.fail("admin.advertise", strconv.Quote(a.Advertise), "IP or IP:port, not 0.0.0.0 or ::", "")
	}
	if !a.Register {
		return
	}
	switch {
	case a.Listen == "" || a.Listen == "off" || strings.HasPrefix(a.Listen, "unix:"):
		k.fail("admin.register", "register without an admin port", "admin.listen with IP:port", "")
	case a.Advertise == "" && !validAdvertise(a.Listen):
		k.fail("admin.advertise", strconv.Quote(a.Advertise), "an address, because admin.listen is every one", "")
	}
}

// validAdvertise accepts a certain IP, with or without a port.
func validAdvertise(addr string) bool {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return false
		}
		ip = ap.Addr()
	}
	return !ip.IsUnspecified()
}
