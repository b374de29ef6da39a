package config

import (
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/internal/xmltree"
)

const policyPrefix = "http://opcfoundation.org/UA/SecurityPolicy#"

// policies are the URIs of the security policies the server has (Part 7, 6.6).
func policies() []string {
	return []string{
		ua.SecurityPolicyURINone,
		ua.SecurityPolicyURIBasic256Sha256,
		ua.SecurityPolicyURIAes128Sha256RsaOaep,
		ua.SecurityPolicyURIAes256Sha256RsaPss,
	}
}

func deprecatedPolicies() []string {
	return []string{ua.SecurityPolicyURIBasic128Rsa15, ua.SecurityPolicyURIBasic256}
}

// policyName is the last part of a policy's URI.
func policyName(uri string) string { return strings.TrimPrefix(uri, policyPrefix) }

// suggestPolicy finds the nearest policy, also for one that was written without its prefix.
func suggestPolicy(text string) string {
	if contains(policies(), policyPrefix+text) {
		return "; write the whole URI " + policyPrefix + text
	}
	return xmltree.Suggest(text, policies())
}

func modeOf(word string) (ua.MessageSecurityMode, bool) {
	for _, m := range []ua.MessageSecurityMode{ua.MessageSecurityModeNone, ua.MessageSecurityModeSign, ua.MessageSecurityModeSignAndEncrypt} {
		if modeName(m) == word {
			return m, true
		}
	}
	return 0, false
}

// modeName is the word of the file.
func modeName(m ua.MessageSecurityMode) string {
	return strings.TrimPrefix(m.String(), "MessageSecurityMode")
}

// union adds the modes of b that a does not have.
func union(a, b []ua.MessageSecurityMode) []ua.MessageSecurityMode {
	for _, m := range b {
		known := false
		for _, o := range a {
			known = known || o == m
		}
		if !known {
			a = append(a, m)
		}
	}
	return a
}
