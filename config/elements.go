package config

import "slices"

const (
	basic256Sha256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
	noHistory      = "this version keeps no history"
	noEvents       = "this version has no events"
)

// Elements lists every element that is known of TcUaServerConfig.xml. Reading, checking and explaining all follow this
// table. The columns are path, kind, value if absent, value as shipped, handling and meaning.
func Elements() []Element {
	return slices.Concat(
		[]Element{
			row("UaServerConfig", Block, "", "", Honour, "the server"),
			row("General", Opaque, "", "", Accept, "always empty"),
			row("ConfigTools", Opaque, "", "", Accept, "window positions of a configuration tool"),
		},
		below("UaServerConfig", sessionElements()...),
		below("UaServerConfig", subscriptionElements()...),
		below("UaServerConfig", informationElements()...),
		below("UaServerConfig", identityElements()...),
		below("UaServerConfig", securityElements()...),
		below("UaServerConfig", discoveryElements()...),
		below("UaServerConfig", transportElements()...),
		below("UaServerConfig/UaEndpoint", endpointElements()...),
		below("UaServerConfig/UserIdentityTokens", tokenElements()...),
		below("UaServerConfig/Trace", traceElements()...),
	)
}

func sessionElements() []Element {
	return []Element{
		row("MaxRequestAge", Integer, "0", "0", Honour, "ms; oldest time stamp of a request; 0: not checked"),
		row("MaxSessionCount", Integer, "20", "100", Honour, "sessions of all clients; 0: no limit"),
		row("MaxSessionsPerClient", Integer, "0", "", Honour, "sessions of one client; 0: no limit"),
		row("MinSessionTimeout", Integer, "10000", "10000", Honour, "ms; shortest session timeout a client gets; 0: none"),
		row("MaxSessionTimeout", Integer, "3600000", "3600000", Honour, "ms; longest session timeout a client gets; 0: none"),
		row("MaxBrowseContinuationPoints", Integer, "10", "0", Honour, "continuation points of one session; 0: 10"),
		row("MaxBrowseResults", Integer, "1000", "", Honour, "references returned by one browse operation; 0: 1000"),
		row("MaxNodesToBrowse", Integer, "500", "", Honour, "operations of one Browse; 0: no limit"),
		row("MaxNodesPerTranslateBrowsePathsToNodeIds", Integer, "500", "", Honour, "operations of one TranslateBrowsePathsToNodeIds; 0: no limit"),
		row("MaxNodesPerHistoryReadData", Integer, "0", "", Warn, "operations of one HistoryRead of values; 0: no limit").note(noHistory),
		row("MaxNodesPerHistoryReadEvents", Integer, "0", "", Warn, "operations of one HistoryRead of events; 0: no limit").note(noHistory),
		row("MaxNodesPerHistoryUpdateData", Integer, "0", "", Warn, "operations of one HistoryUpdate of values; 0: no limit").note(noHistory),
		row("MaxNodesPerHistoryUpdateEvents", Integer, "0", "", Warn, "operations of one HistoryUpdate of events; 0: no limit").note(noHistory),
		row("MaxHistoryContinuationPoints", Integer, "0", "0", Warn, "history continuation points of one session; 0: 100").note(noHistory),
	}
}

func subscriptionElements() []Element {
	return []Element{
		row("MinPublishingInterval", Integer, "100", "50", Honour, "ms; shortest publishing interval"),
		row("MaxPublishingInterval", Integer, "3600000", "0", Honour, "ms; longest publishing interval; 0: no limit"),
		row("MinKeepAliveInterval", Integer, "0", "5000", Honour, "ms; shortest time between two keep-alives"),
		row("MinSubscriptionLifetime", Integer, "10000", "10000", Honour, "ms; shortest lifetime of a subscription"),
		row("MaxSubscriptionLifetime", Integer, "3600000", "0", Honour, "ms; longest lifetime of a subscription; 0: no limit"),
		row("MaxRetransmitionQueueSize", Integer, "", "10", Honour, "the same as MaxRetransmissionQueueSize, misspelt in the shipped file"),
		row("MaxRetransmissionQueueSize", Integer, "40", "", Honour, "messages kept for Republish; 0: 40"),
		row("MaxNotificationsPerPublish", Integer, "1000", "0", Honour, "notifications of one Publish response; 0: no limit"),
		row("MaxDataQueueSize", Integer, "100", "100", Honour, "values in the queue of one monitored item; 0: 100"),
		row("MaxEventQueueSize", Integer, "10000", "10000", Warn, "events in the queue of one monitored item").note(noEvents),
		row("MaxSubscriptionCount", Integer, "40", "0", Honour, "subscriptions of all sessions; 0: no limit"),
		row("MaxSubscriptionsPerSession", Integer, "10", "", Honour, "subscriptions of one session; 0: no limit"),
		row("MaxMonitoredItemCount", Integer, "10000", "0", Honour, "monitored items of all sessions; 0: no limit"),
		row("MaxMonitoredItemPerSubscriptionCount", Integer, "2000", "0", Honour, "monitored items of one subscription; 0: no limit"),
		row("MaxMonitoredItemPerSessionCount", Integer, "0", "", Honour, "monitored items of one session; 0: no limit"),
		row("MinSupportedSampleRate", Number, "0", "", Honour, "ms; shortest sampling interval; 0: the list of sampling rates decides"),
		row("DurableSubscription", Block, "", "", Warn, "subscriptions that survive a restart"),
		row("DurableSubscription/Enabled", Bool, "false", "", Warn, "switches them on").note("subscriptions end with their session"),
		row("DurableSubscription/StorageDirectory", Path, "", "", Accept, "where they are stored"),
		row("DurableSubscription/MaxSubscriptionLifetimeInHours", Integer, "0", "", Accept, "h; longest lifetime"),
		row("DurableSubscription/MaxMonitoredItemQueueSize", Integer, "0", "", Accept, "values in the stored queue of one monitored item"),
		row("DurableSubscription/LiveQueueSize", Integer, "100", "", Accept, "values held in memory"),
	}
}

func informationElements() []Element {
	return []Element{
		row("AvailableLocaleIds", Block, "", "", Honour, "languages"),
		row("AvailableLocaleIds/LocaleId*", Text, "en", "en", Honour, "one entry of LocaleIdArray"),
		row("AvailableServerProfiles", Block, "", "", Honour, "profiles, for information only"),
		row("AvailableServerProfiles/ServerProfileUri*", Text, "", "StandardUA, DataAccess, Methods, EventSubscription", Honour, "one entry of ServerProfileArray"),
		row("AvailableSamplingRates", Block, "50 100 250 500 1000 2000 5000 10000", "43 values from 2 to 10000", Honour, "sampling intervals that a monitored item can have"),
		row("AvailableSamplingRates/SamplingRate*", Integer, "", "", Honour, "ms; one sampling interval; 0: as fast as the value changes"),
		row("ServerCapabilities", Block, "", "", Honour, "what the server announces to a discovery server"),
		row("ServerCapabilities/ServerCapability*", Text, "", "", Honour, "one capability identifier of Part 12, such as DA"),
		row("IsAuditActivated", Bool, "false", "false", Warn, "audit events").note(noEvents),
		row("RedundancySettings", Block, "", "", Honour, "the redundant set this server belongs to, as Server/ServerRedundancy shows it; its other servers belong into AdditionalServerEntries as well"),
		row("RedundancySettings/RedundancySupport", Word, "None", "None", Map, "kind of redundancy").
			words("None Cold Warm Hot Transparent").note("Transparent is not possible and counts as None; of the others the clients are told, and switch over by themselves"),
		row("RedundancySettings/ServerUri*", Text, "", "", Honour, "ServerUri of one server of the set, shown in ServerUriArray"),
		row("AdditionalServerEntries", Block, "", "", Honour, "other servers that FindServers returns"),
		row("AdditionalServerEntries/ApplicationDescription*", Block, "", "", Honour, "one other server"),
		row("AdditionalServerEntries/ApplicationDescription/ApplicationUri", Text, "", "", Honour, "its ApplicationUri"),
		row("AdditionalServerEntries/ApplicationDescription/ProductUri", Text, "", "", Honour, "its ProductUri"),
		row("AdditionalServerEntries/ApplicationDescription/ApplicationName", Text, "", "", Honour, "its name"),
		row("AdditionalServerEntries/ApplicationDescription/ApplicationType", Word, "Server", "", Honour, "its type").words("Server ClientAndServer"),
		row("AdditionalServerEntries/ApplicationDescription/GatewayServerUri", Text, "", "", Honour, "ApplicationUri of the gateway before it"),
		row("AdditionalServerEntries/ApplicationDescription/DiscoveryProfileUri", Text, "", "", Honour, "its discovery profile"),
		row("AdditionalServerEntries/ApplicationDescription/DiscoveryUrl*", Text, "", "", Honour, "one of its discovery addresses"),
		row("ThreadPoolSettings", Block, "", "", Accept, "worker threads of the original"),
		row("ThreadPoolSettings/MinSizeTransactionManager", Integer, "1", "1", Accept, "worker threads of the original"),
		row("ThreadPoolSettings/MaxSizeTransactionManager", Integer, "4", "4", Accept, "worker threads of the original"),
		row("ThreadPoolSettings/MinSizeSubscriptionManager", Integer, "1", "1", Accept, "worker threads of the original"),
		row("ThreadPoolSettings/MaxSizeSubscriptionManager", Integer, "4", "4", Accept, "worker threads of the original"),
	}
}

func identityElements() []Element {
	return []Element{
		row("ServerUri", Text, "urn:[NodeName]:edgeua", "urn:[NodeName]:BeckhoffAutomation:TcOpcUaServer:1", Honour,
			"ApplicationUri of the server: in the certificate, namespace 1, and the ServerUri of a ReverseHello"),
		row("ServerName", Text, "edgeua@[NodeName]", "TcOpcUaServer@[NodeName]", Honour, "name shown to clients"),
		row("ProductUri", Text, "", "", Honour, "BuildInfo"),
		row("ManufacturerName", Text, "", "", Honour, "BuildInfo"),
		row("ProductName", Text, "", "", Honour, "BuildInfo"),
		row("SoftwareVersion", Text, "", "", Honour, "BuildInfo"),
		row("BuildNumber", Text, "", "", Honour, "BuildInfo"),
		row("ApplicationUri", Text, "", "", Map, "old name of ProductUri; not the ApplicationUri of the certificate").note("read as ProductUri"),
		row("ApplicationName", Text, "", "", Map, "old name of ProductName").note("read as ProductName"),
	}
}

func securityElements() []Element {
	rows := []Element{
		row("RejectedCertificatesDirectory", Path, "", "[ApplicationPath]/PKI/CA/rejected", Honour, "where refused client certificates are kept, to be moved to the trusted ones"),
		row("RejectedCertificatesCount", Integer, "100", "", Honour, "certificates kept there, at most 500; 0: 100"),
		row("AllowDeprecatedSecurityPolicies", Bool, "false", "false", Honour, "allows Basic128Rsa15 and Basic256, with keys from 2048 bits"),
		row("ProvisioningModeSettings", Block, "", "", Warn, "set-up by the first client"),
		row("ProvisioningModeSettings/IsActive", Bool, "false", "", Warn, "switches it on").note("there is no provisioning mode; users stand in " + UsersName),
		row("ProvisioningModeSettings/DeactivateAfterInitialConfiguration", Bool, "false", "", Accept, "switches it off afterwards"),
		row("UserAndGroupIdsForDefaultRoles", Block, "", "", Accept, "numeric identifiers of the original's permission model"),
		row("UserAndGroupIdsForDefaultRoles/RootUserId", Integer, "0", "", Accept, "user that may do everything"),
		row("UserAndGroupIdsForDefaultRoles/SecurityAdminGroupId", Integer, "0", "", Accept, "group of the role SecurityAdmin"),
		row("UserAndGroupIdsForDefaultRoles/ConfigurationAdminGroupId", Integer, "0", "", Accept, "group of the role ConfigureAdmin"),
		row("DefaultApplicationCertificateStore", Block, "", "", Honour, "certificates of the endpoints that have no CertificateStore"),
		row("DefaultApplicationCertificateStore/MaxTrustListSize", Integer, "0", "", Accept, "bytes; largest trust list that can be pushed; 0: no limit"),
		row("DefaultApplicationCertificateStore/SendCertificateChain", Bool, "false", "", Honour, "sends the CA certificates along"),
		row("DefaultApplicationCertificateStore/ServerCertificate*", Block, "", "", Honour, "the own certificate; the first one counts"),
	}
	rows = append(rows, below("DefaultApplicationCertificateStore", trustElements("OpenSSLStore/")...)...)
	rows = append(rows, below("DefaultApplicationCertificateStore", windowsElements()...)...)
	own := slices.Concat(ownCertificateElements(), windowsElements(), []Element{row("OpenSSLStore", Block, "", "", Honour, "files")})
	return append(rows, below("DefaultApplicationCertificateStore/ServerCertificate", own...)...)
}

// trustElements are the four locations, in a block named by prefix or without one.
func trustElements(prefix string) []Element {
	rows := []Element{
		row(prefix+"CertificateTrustListLocation", Path, "", "", Honour, "directory of trusted certificates"),
		row(prefix+"CertificateRevocationListLocation", Path, "", "", Honour, "directory of their revocation lists, or one file"),
		row(prefix+"IssuersCertificatesLocation", Path, "", "", Honour, "directory of CA certificates that complete a chain without being trusted"),
		row(prefix+"IssuersRevocationListLocation", Path, "", "", Honour, "directory of their revocation lists"),
	}
	if prefix != "" {
		rows = append(rows, row("OpenSSLStore", Block, "", "", Honour, "certificates in files"))
	}
	return rows
}

func windowsElements() []Element {
	return []Element{
		row("WindowsStore", Block, "", "", Refuse, "certificates in the store of Windows").note("there is no such store here; use OpenSSLStore"),
		row("WindowsStore/StoreLocation", Word, "LocalMachine", "", Refuse, "whose store").words("LocalMachine CurrentUser"),
		row("WindowsStore/StoreName", Text, "", "", Refuse, "name of the store"),
		row("WindowsStore/IssuersStoreName", Text, "", "", Refuse, "name of the store of CA certificates"),
		row("WindowsStore/ServerCertificateThumbprint", Text, "", "", Refuse, "thumbprint of the own certificate"),
	}
}

// ownCertificateElements describe the certificate of the server, wherever it stands.
func ownCertificateElements() []Element {
	return []Element{
		row("OpenSSLStore/ServerCertificate", Path, "", "[ApplicationPath]/PKI/CA/own/certs/Beckhoff_OpcUaServer.der", Honour, "own certificate, DER"),
		row("OpenSSLStore/ServerPrivateKey", Path, "", "[ApplicationPath]/PKI/CA/own/private/Beckhoff_OpcUaServer.pem", Honour, "own private key, PEM without a passphrase"),
		row("GenerateCertificate", Bool, "false", "true", Honour, "creates directories, key and a self-signed certificate when they are missing"),
		row("CertificateSettings", Block, "", "", Honour, "what a created certificate says; no effect on an existing one"),
		row("CertificateSettings/CommonName", Text, "[ServerName]", "[ServerName]", Honour, "CN"),
		row("CertificateSettings/DomainComponent", Text, "[NodeName]", "", Honour, "DC"),
		row("CertificateSettings/Organization", Text, "", "Organization", Honour, "O"),
		row("CertificateSettings/OrganizationUnit", Text, "", "Unit", Honour, "OU"),
		row("CertificateSettings/Locality", Text, "", "LocationName", Honour, "L"),
		row("CertificateSettings/State", Text, "", "", Honour, "ST; blank: none"),
		row("CertificateSettings/Country", Text, "", "DE", Honour, "C, two letters"),
		row("CertificateSettings/YearsValidFor", Integer, "5", "20", Honour, "years of 365 days, at most 20"),
		row("CertificateSettings/KeyLength", Integer, "2048", "4096", Honour, "bits: 2048, 3072 or 4096"),
		row("CertificateSettings/CertificateType", Word, "RsaSha256", "RsaSha256", Honour, "signature algorithm").
			words("RsaSha256 RsaMin"),
		row("CertificateSettings/DNSName*", Text, "", "[NodeName]", Honour, "host name under which clients reach the server"),
		row("CertificateSettings/IPAddress*", Text, "", "", Honour, "address under which clients reach the server"),
	}
}

func endpointElements() []Element {
	rows := []Element{
		row("SerializerType", Text, "Binary", "Binary", Honour, "encoding; Xml is refused"),
		row("Url", Text, "", "opc.tcp://[NodeName]:4840", Honour, "address shown to clients, port to listen on, and the EndpointUrl of a ReverseHello"),
		row("StackUrl", Text, "", "", Honour, "address to listen on, if not all interfaces"),
		row("IsVisible", NotFalse, "true", "true", Honour, "listed by GetEndpoints"),
		row("IsDiscoveryUrl", NotFalse, "true", "true", Honour, "listed by FindServers"),
		row("AutomaticallyTrustAllClientCertificates", Bool, "false", "true", Honour, "accepts the certificate of any client"),
		row("CreateSignatureWithChain", Bool, "false", "", Honour, "signs over the complete chain of the client"),
		row("Redundancy", Bool, "false", "", Warn, "transparent redundancy").note("the server stands alone"),
		row("CertificateStore", Block, "", "", Honour, "certificates of this endpoint"),
		row("SecuritySetting*", Block, "", "", Honour, "one security policy and its modes"),
		row("SecuritySetting/SecurityPolicy", Text, "", "Basic256Sha256, Aes256_Sha256_RsaPss, Aes128_Sha256_RsaOaep", Honour, "URI of the policy"),
		row("SecuritySetting/MessageSecurityMode*", Text, "", "SignAndEncrypt", Honour, "None, Sign or SignAndEncrypt"),
		row("ReverseConnect", Block, "", "", Honour, "clients to which the server connects by itself"),
		row("ReverseConnect/Url*", Text, "", "", Honour, "address at which a client listens for reverse connections"),
		row("AlternativeEndpointUrls", Block, "", "", Honour, "further addresses of this endpoint behind a proxy or NAT"),
		row("AlternativeEndpointUrls/Url*", Text, "", "", Honour, "one further address"),
		row("SecurityCheckOverwrites", Block, "", "", Honour, "security checks to leave out"),
	}
	store := slices.Concat(trustElements("OpenSSLStore/"), ownCertificateElements(), windowsElements())
	rows = append(rows, below("CertificateStore", store...)...)
	return append(rows, below("SecurityCheckOverwrites", overwriteElements()...)...)
}

func overwriteElements() []Element {
	return []Element{
		row("DisableErrorCertificateTimeInvalid", Bool, "false", "", Honour, "accepts expired client certificates"),
		row("DisableErrorCertificateIssuerTimeInvalid", Bool, "false", "", Honour, "accepts expired CA certificates"),
		row("DisableErrorCertificateRevocationUnknown", Bool, "false", "", Honour, "accepts client certificates without a revocation list of their CA"),
		row("DisableErrorCertificateIssuerRevocationUnknown", Bool, "false", "", Honour, "accepts CA certificates without a revocation list"),
		row("DisableErrorCertificateKeyTooShort", Bool, "false", "", Warn, "accepts keys shorter than the policy allows").note("short keys stay refused"),
		row("DisableErrorCertificateKeyTooLong", Bool, "false", "", Honour, "accepts keys longer than the policy allows"),
		row("DisableApplicationUriCheck", Bool, "false", "true", Honour, "does not compare the client's ApplicationUri with its certificate"),
		row("DisableNonceLengthCheck", Bool, "false", "", Honour, "accepts short client nonces in CreateSession"),
		row("DisableUserTokenPolicyIdCheck", Bool, "false", "", Honour, "does not check the PolicyId of user tokens"),
		row("DisableCertificateSignatureAlgorithmCheck", Bool, "false", "", Warn, "accepts weak certificate signatures").note("weak signatures stay refused"),
		row("DisableCertificateUsageCheck", Bool, "false", "", Honour, "does not check what a certificate may be used for"),
	}
}

func tokenElements() []Element {
	rows := []Element{
		row("EnableAnonymous", Bool, "false", "true", Honour, "offers sessions without a user; the second switch is the user Anonymous with Auth=\"None\" in TcUaSecurityConfig.xml"),
		row("EnableUserPw", Bool, "true", "true", Honour, "offers user name and password"),
		row("EnableCertificate", Bool, "false", "true", Honour, "offers user certificates; a user with Auth=\"Certificate\" logs in with a trusted one whose common name is his Name"),
		row("SecurityPolicy", Text, basic256Sha256, basic256Sha256, Honour, "policy that protects passwords on endpoints without security"),
		row("DefaultUserCertificateStore", Block, "", "", Honour, "trust of user certificates"),
		row("RejectedUserCertificatesDirectory", Path, "", "[ApplicationPath]/pkiuser/rejected/", Honour, "where refused user certificates are kept"),
		row("RejectedUserCertificatesCount", Integer, "100", "100", Honour, "user certificates kept there"),
	}
	return append(rows, below("DefaultUserCertificateStore", trustElements("")...)...)
}

func discoveryElements() []Element {
	return []Element{
		row("UaEndpoint*", Block, "", "", Honour, "one address of the server; at least one is needed"),
		row("UserIdentityTokens", Block, "", "", Honour, "how users identify themselves"),
		row("DiscoveryRegistration", Block, "", "", Honour, "registration with discovery servers"),
		row("DiscoveryRegistration/AutomaticCertificateExchange", Bool, "false", "false", Warn, "exchanges certificates through the store of Windows").note("there is no such store here"),
		row("DiscoveryRegistration/DiscoveryServerTrustListLocation", Path, "", "", Honour, "trust list of the discovery server; the own certificate is copied there, if a Url is given"),
		row("DiscoveryRegistration/DiscoveryServerCertificateFile", Path, "", "", Warn, "certificate of the discovery server, in old files").note("put that certificate among the trusted ones, and name the trust list of the discovery server in DiscoveryServerTrustListLocation"),
		row("DiscoveryRegistration/DiscoveryServerStoreName", Text, "", "UA Applications", Accept, "name of a store of Windows"),
		row("DiscoveryRegistration/DiscoveryServerCertificateName", Text, "", "UA Local Discovery Server", Accept, "name of a certificate there"),
		row("DiscoveryRegistration/RegistrationInterval", Integer, "30000", "30000", Honour, "ms between two registrations"),
		row("DiscoveryRegistration/Url*", Text, "", "", Honour, "one discovery server; its certificate must be trusted like that of a client"),
	}
}

func transportElements() []Element {
	const noPool = "every connection has a worker of its own, and MaxSessionCount bounds them"
	return []Element{
		row("Serializer", Block, "", "", Honour, "what a client may send"),
		row("Serializer/MaxAlloc", Integer, "4194304", "4194304", Map, "bytes of one allocation; 0: 4194304").note("bounds the memory for the arrays of one message"),
		row("Serializer/MaxStringLength", Integer, "65535", "65535", Honour, "bytes of one String; 0: 65535"),
		row("Serializer/MaxByteStringLength", Integer, "524288", "1048560", Honour, "bytes of one ByteString; 0: 524288"),
		row("Serializer/MaxArrayLength", Integer, "65535", "65535", Honour, "elements of one array; 0: 65535"),
		row("Serializer/MaxMessageSize", Integer, "1048576", "4194304", Honour, "bytes of one message; 0: 1048576"),
		row("StackThreadPoolSettings", Block, "", "", Accept, "worker threads of the original"),
		row("StackThreadPoolSettings/Enabled", Bool, "true", "true", Warn, "worker threads of the original").note(noPool),
		row("StackThreadPoolSettings/MinThreads", Integer, "5", "5", Warn, "worker threads of the original").note(noPool),
		row("StackThreadPoolSettings/MaxThreads", Integer, "5", "5", Warn, "worker threads of the original").note(noPool),
		row("StackThreadPoolSettings/MaxJobs", Integer, "20", "20", Warn, "requests waiting for them").note(noPool),
		row("StackThreadPoolSettings/BlockOnAdd", Bool, "true", "true", Warn, "waits for a free thread").note(noPool),
		row("StackThreadPoolSettings/Timeout", Integer, "0", "0", Warn, "ms to wait; 0: for ever").note(noPool),
		row("Trace", Block, "", "", Map, "logging"),
	}
}

func traceElements() []Element {
	const always = "log level error, warn, info (also SYSTEM) or debug of the log file; standard error has at least info"
	return []Element{
		row("UaStackTraceEnabled", Bool, "false", "false", Map, "logs the transport").note("UaStackTraceLevel counts, if it asks for more than UaAppTraceLevel"),
		row("UaStackTraceLevel", Word, "NONE", "ALL", Map, "detail of that").
			words("NONE ERROR WARNING SYSTEM INFO DEBUG CONTENT ALL").note(always),
		row("UaAppTraceEnabled", Bool, "true", "true", Map, "logs the application").note("when neither trace is enabled, no log file is written"),
		row("UaAppTraceLevel", Word, "Info", "Errors", Map, "detail of that").
			words("NoTrace Errors Warning Info InterfaceCall CtorDtor ProgramFlow Data").note(always),
		row("UaAppTraceMaxEntries", Integer, "100000", "100000", Honour, "lines of one log file; 0: 100000"),
		row("UaAppTraceMaxBackup", Integer, "5", "5", Honour, "older log files kept; .1 is the youngest"),
		row("UaAppTraceDisableFlush", Bool, "false", "", Accept, "does not flush after each line"),
		row("UaAppTraceFile", Path, "", "[BkTracePath]/srvTrace.log", Honour, "log file, beside the lines on standard error; none if it is not named"),
		row("TraceEvents", Word, "Disabled", "Disabled", Warn, "shows the log in the address space").
			words("Disabled History HistoryAndEvents").note("the log is not shown there"),
		row("PubSubStackTraceEnabled", Bool, "false", "", Accept, "logs PubSub"),
		row("DisableFileTrace", Bool, "false", "true", Honour, "writes no log file"),
	}
}
