package join

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// Certificates begin an hour early, for clocks that are behind.
const (
	caYears         = 10
	defaultValidity = 365 * 24 * time.Hour
	early           = time.Hour
)

// CA signs what machines and the scaler prove themselves with. It is
// read-only after OpenCA and safe for concurrent use.
type CA struct {
	cert   *x509.Certificate
	key    crypto.Signer
	text   []byte // PEM of cert
	secret []byte // of tokens, made of the key
	o      CAOptions
}

// CAOptions say where an authority is kept.
type CAOptions struct {
	// Dir holds an authority made by OpenCA. Its files have mode 0600.
	Dir string
	// CertFile and KeyFile (PEM) are one made elsewhere, instead of Dir.
	// Scalers that stand in for each other need the same one.
	CertFile, KeyFile string
	// Validity of what it signs. Default one year: longer than any machine
	// lives, as an engine takes no new certificate while it runs.
	Validity time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	caCert = "ca.pem"
	caKey  = "ca.key"
)

// OpenCA reads an authority; the one of a directory is made if there is none.
func OpenCA(o CAOptions) (*CA, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Validity == 0 {
		o.Validity = defaultValidity
	}
	where, cert, key, err := o.read()
	if err == nil {
		var ca *CA
		if ca, err = parseCA(cert, key); err == nil {
			ca.o = o
			return ca, nil
		}
	}
	return nil, fmt.Errorf("cannot open the certificate authority in %q: %w", where, err)
}

func (o *CAOptions) read() (where string, cert, key []byte, err error) {
	if o.CertFile != "" {
		if cert, err = os.ReadFile(o.CertFile); err == nil {
			key, err = os.ReadFile(o.KeyFile)
		}
		return o.CertFile, cert, key, err
	}
	files, err := loadOrCreate(o.Dir, []string{caKey, caCert}, func() (map[string][]byte, error) { return newCA(o.Now()) })
	return o.Dir, files[caCert], files[caKey], err
}

func newCA(now time.Time) (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		// Another name than any certificate signed with it: OpenSSL takes one whose
		// issuer has its own name for self-signed.
		Subject:   pkix.Name{CommonName: "spillway authority"},
		NotBefore: now.Add(-early), NotAfter: now.AddDate(caYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	text, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{caCert: certPEM(der), caKey: text}, nil
}

func parseCA(cert, key []byte) (*CA, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("these are not the certificate and key of an authority")
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, der)
	mac.Write([]byte("secret of spillway's join tokens"))
	return &CA{cert: pair.Leaf, key: signer, text: cert, secret: mac.Sum(nil)}, nil
}

// PEM is the authority's certificate, which machines and scalers trust.
func (c *CA) PEM() []byte { return c.text }

// Pool is the same for crypto/tls.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

// Client issues a certificate with which the scaler orders engines about; key
// and certificate are PEM and exist in memory alone.
func (c *CA) Client(name string) (cert, key []byte, err error) {
	return c.issue(name, nil, x509.ExtKeyUsageClientAuth)
}

// Server issues a certificate for a server of ours, known by these names and
// IP addresses.
func (c *CA) Server(hosts []string) (tls.Certificate, error) {
	cert, key, err := c.issue("spillway scaler", hosts, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

func (c *CA) issue(name string, hosts []string, use x509.ExtKeyUsage) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if key, err = keyPEM(private); err != nil {
		return nil, nil, err
	}
	cert, err = c.sign(&private.PublicKey, name, hosts, use)
	return cert, key, err
}

// Sign issues the certificate of a machine's engine. The request may name the
// machine's name and address and nothing else; it is good for serving only.
func (c *CA) Sign(request []byte, name, address string) ([]byte, error) {
	csr, err := parseRequest(request)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate request: %w", err)
	}
	if err := asksOnlyFor(csr, name, address); err != nil {
		return nil, fmt.Errorf("cannot sign for machine %q: %w", name, err)
	}
	return c.sign(csr.PublicKey, name, []string{name, address}, x509.ExtKeyUsageServerAuth)
}

func parseRequest(text []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("no PEM block CERTIFICATE REQUEST")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if key, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("its key is not ECDSA P-256")
	}
	return csr, csr.CheckSignature()
}

func asksOnlyFor(csr *x509.CertificateRequest, name, address string) error {
	if csr.Subject.CommonName != name {
		return fmt.Errorf("it asks for common name %q", csr.Subject.CommonName)
	}
	for _, dns := range csr.DNSNames {
		if dns != name {
			return fmt.Errorf("it asks for name %q", dns)
		}
	}
	for _, ip := range csr.IPAddresses {
		if !ip.Equal(net.ParseIP(address)) {
			return fmt.Errorf("it asks for address %s", ip)
		}
	}
	if len(csr.EmailAddresses)+len(csr.URIs) > 0 {
		return errors.New("it asks for more than a name and an address")
	}
	return nil
}

func (c *CA) sign(public any, name string, hosts []string, use x509.ExtKeyUsage) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: c.o.Now().Add(-early), NotAfter: c.o.Now().Add(c.o.Validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, public, c.key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign a certificate: %w", err)
	}
	return certPEM(der), nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// serial is a random serial number of 127 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
