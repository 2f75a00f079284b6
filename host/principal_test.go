// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/hex"
	"strings"
	"testing"
)

// What Java's X500Principal.getName says of these subjects (OpenJDK 17).
func TestDistinguishedNames(t *testing.T) {
	for subject, want := range map[string]string{
		"300e310c300a06035504031303617070": `CN=app`,
		"3038310b300906035504061302444531143008060355040a1301783008060355040b1301793113301106035504030c0a612c20622b633d642365": `CN=a\, b\+c\=d\#e,O=x+OU=y,C=DE`,
		"301b3119301706035504031310206c65616420616e6420747261696c20":                                                           `CN=\ lead and trail\ `,
		"3022310a300806035504031301783114301206092a864886f70d01090116056140622e63":                                             `1.2.840.113549.1.9.1=#16056140622e63,CN=x`,
		"3076310e300c060355040c13057469746c65310a300806035504091301733111300f060a0992268993f22c64010113017531133011060a0992268993f22c64011916036f726731173015060a0992268993f22c64011916076578616d706c65310a30080603550403130178310b3009060355040513023132": `2.5.4.5=#13023132,CN=x,DC=example,DC=org,UID=u,STREET=s,2.5.4.12=#13057469746c65`,
		"3029310f300d0603550403130678207920207a310a30080603550404130173310a3008060355042a130167":             `2.5.4.42=#130167,2.5.4.4=#130173,CN=x y  z`,
		"302f310a30080603550403130163310f300d060355040713064d756e6963683110300e0603550408130742617661726961": `ST=Bavaria,L=Munich,CN=c`,
		"30183116301406035504030c0d2368612373683b3c3e2271225c":                                               `CN=\#ha\#sh\;\<\>\"q\"\\`,
		"30123110300e06035504030c074dc3bc6c6c6572":                                                           `CN=Müller`,
		"300b3109300706035504031300":                                                                         `CN=`,
		"301c310c300a06035504031303782c79310c300a060355040b1303613d62":                                       `OU=a\=b,CN=x\,y`,
		"3029310a3008060355040a13016f311b30080603550403130163300f060a0992268993f22c640101130175":             `CN=c+UID=u,O=o`,
		"3000": "",
	} {
		b, err := hex.DecodeString(subject)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (PrincipalRules{}).principal(b); got != "User:"+want || err != nil {
			t.Errorf("%s: %s %v, want %s", subject, got, err, want)
		}
		for cut := range len(b) {
			if got, err := distinguishedName(b[:cut]); err == nil {
				t.Errorf("%s is the name of %d bytes of %s", got, cut, subject)
			}
		}
	}
}

// What Kafka 4.3.1's SslPrincipalMapper makes of them; a text that begins with ! is an error with these words.
func TestPrincipalRules(t *testing.T) {
	for _, c := range []struct{ rules, name, want string }{
		{"", "CN=z", "CN=z"},
		{"DEFAULT", "CN=a", "CN=a"},
		{"RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, DEFAULT", "CN=Duke,OU=ServiceUsers,O=Org,L=L,ST=S,C=C", "duke@serviceusers"},
		{"RULE:^CN=(.*?),OU=(.*?)$/$1@$2/L, DEFAULT", "CN=Duke,O=Org", "CN=Duke,O=Org"},
		{"RULE:^CN=([^,]*).*$/$1/U", "CN=adam,O=x", "ADAM"},
		{`RULE:^CN=(.*?)$/$1$2x\$\1/,DEFAULT`, "CN=b", "b$2x$1"},
		{"RULE:^cn=(.*)$/$1/L", "CN=b", "!no rule of tls_principal_rules"},
		{"RULE:^CN=(.*)$/$1", "CN=b", "!is no rule"},
		{`RULE:a\/b/c/, RULE:CN=(a)b/$11/`, "CN=ab", "a1"},
		{"  RULE:CN=(x)/$1/  ,  DEFAULT", "CN=x", "x"},
		{"default", "CN=x", "!is no rule"},
		{"RULE:CN=.*/a,b/L,DEFAULT", "CN=x", "a,b"},
		{"RULE:[/x/", "CN=x", "!missing closing ]"},
		{"RULE:CN=(?=x)(.*)/x/", "CN=x", "!know no look-ahead"},
		{"RULE:CN=(.*)/$/", "CN=x", "!there is no number of a group"},
		{"RULE:CN=(.*)/${a}/", "CN=x", "!there is no number of a group"},
		{"RULE:CN=(.*)/a/LX", "CN=x", "!is no rule"},
		{"DEFAULT,RULE:CN=(.*)/a/L", "CN=x", "CN=x"},
		{"RULE:CN=(.*)/$1/L DEFAULT", "CN=x", "!is no rule"},
		{"RULE:CN=(.*)/$10/", "CN=x", "x0"},
		{"RULE:CN=(.*)/$0/", "CN=x", "CN=x"},
		{"RULE:.*CN=(.*)/$1/", "CN=x", "x"},
		{`RULE:CN=(.)(.*)/\$1$2/`, "CN=xy", "$1y"},
		{"RULE:CN=(.*?)/$1-/", "CN=xy", "-xy"}, // the whole matches, and then the least is replaced
		{",", "CN=x", "!holds no rule"},
	} {
		rules, err := ParsePrincipalRules(c.rules)
		got := ""
		if err == nil {
			got, err = rules.user(c.name)
		}
		if words, fails := strings.CutPrefix(c.want, "!"); fails != (err != nil) || fails && !strings.Contains(err.Error(), words) || !fails && got != c.want {
			t.Errorf("%q of %q: %q %v, want %s", c.rules, c.name, got, err, c.want)
		}
	}
}
