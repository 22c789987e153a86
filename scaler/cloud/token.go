package cloud

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Token names one batch so that whoever asks for it again, after a crash or
// from another scaler, asks for the same machines: 32 hexadecimal characters
// of SHA-256, which is ASCII and within the 64 characters that EC2 and Aliyun
// take. The attempt changes only after a definite refusal, the epoch is a
// counter that one leader alone can have raised.
func Token(cluster, pool string, epoch uint64, zone string, batch, attempt int) string {
	var b []byte
	for _, s := range []string{cluster, pool, zone} {
		// Lengths keep ("ab","c") apart from ("a","bc").
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(batch))
	b = binary.BigEndian.AppendUint64(b, uint64(attempt))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
