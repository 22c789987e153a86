package aliyun

// NewCredentials are credentials of a test.
func NewCredentials(keyID, key, token string) Credentials {
	return Credentials{keyID: keyID, secret: secret(key), token: secret(token)}
}
