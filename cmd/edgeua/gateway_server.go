package main

import (
	"math"
	"strings"

	"github.com/gopcua/opcua/ua"

	"github.com/edgeua/edgeua/config"
	"github.com/edgeua/edgeua/internal/uabinary"
	"github.com/edgeua/edgeua/server"
)

// defaultProductURI stands where the configuration has none.
const defaultProductURI = "urn:edgeua"

// serverConfig says in the server's words what the configuration asks for.
func serverConfig(cfg *config.Config, ids []identity, users func(certificate []byte) error) server.Config {
	app := &cfg.Application
	sc := server.Config{
		ApplicationURI:  app.URI,
		ApplicationName: app.Name,
		ProductURI:      or(app.ProductURI, defaultProductURI),
		BuildInfo: server.BuildInfo{
			ManufacturerName: or(app.ManufacturerName, "edgeua"),
			ProductName:      or(app.ProductName, "edgeua"),
			SoftwareVersion:  or(app.SoftwareVersion, softwareVersion()),
			BuildNumber:      app.BuildNumber,
		},
		LocaleIDs:      cfg.LocaleIDs,
		ServerProfiles: cfg.ServerProfiles,
		Anonymous:      cfg.Tokens.Anonymous,
		NoAnonymous:    cfg.NoAnonymous(),
		UserName:       cfg.Tokens.UserName,
		Certificate:    users != nil,
		UserTrust:      users,
		Users:          serverUsers(cfg.Users),
		TokenPolicyURI: cfg.Tokens.PolicyURI,
		Limits:         serverLimits(&cfg.Limits),

		AllowDeprecated: cfg.AllowDeprecated,
		OtherServers:    otherServers(cfg.OtherServers),
		Redundancy:      server.Redundancy{Support: ua.RedundancySupportFromString(cfg.Redundancy.Support), ServerURIs: cfg.Redundancy.ServerURIs},

		Rights: func(user, namespaceURI string) server.Rights { return server.Rights(cfg.Rights(user, namespaceURI)) },
	}
	for i := range cfg.Endpoints {
		sc.Endpoints = append(sc.Endpoints, serverEndpoint(&cfg.Endpoints[i], ids[i]))
	}
	return sc
}

// renamed translates namespaces: a configuration that calls the server by
// another name than it has until its next start means the same namespaces.
func renamed(rights func(user, namespaceURI string) server.Rights, has, called string) func(user, namespaceURI string) server.Rights {
	return func(user, namespaceURI string) server.Rights {
		if rest, ok := strings.CutPrefix(namespaceURI, has); ok && (rest == "" || rest == devicesSuffix) {
			namespaceURI = called + rest
		}
		return rights(user, namespaceURI)
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func serverEndpoint(e *config.Endpoint, id identity) server.EndpointConfig {
	ec := server.EndpointConfig{
		URL: e.URL, AlternativeURLs: e.AlternativeURLs,
		Identity: id.own, Trust: id.trust,
		Visible: e.Visible, Discovery: e.Discovery,
		SignatureWithChain:      e.SignatureWithChain,
		AllowLongKeys:           e.Overwrites.IgnoreKeyTooLong,
		SkipApplicationURICheck: e.Overwrites.IgnoreApplicationURI,
		SkipNonceLengthCheck:    e.Overwrites.IgnoreNonceLength,
		SkipTokenPolicyIDCheck:  e.Overwrites.IgnoreTokenPolicyID,
	}
	for _, s := range e.Security {
		ec.Security = append(ec.Security, server.SecuritySetting{PolicyURI: s.PolicyURI, Modes: s.Modes})
	}
	return ec
}

// otherServers are those that FindServers tells about.
func otherServers(others []config.OtherServer) []uabinary.ApplicationDescription {
	var all []uabinary.ApplicationDescription
	for _, o := range others {
		kind := ua.ApplicationTypeServer
		if o.Type == "ClientAndServer" {
			kind = ua.ApplicationTypeClientAndServer
		}
		all = append(all, uabinary.ApplicationDescription{
			ApplicationURI: o.ApplicationURI, ProductURI: o.ProductURI, ApplicationName: uabinary.LocalizedText{Text: o.Name},
			ApplicationType: kind, GatewayServerURI: o.GatewayServerURI,
			DiscoveryProfileURI: o.DiscoveryProfileURI, DiscoveryURLs: o.DiscoveryURLs,
		})
	}
	return all
}

func serverUsers(users []config.User) []server.User {
	all := make([]server.User, 0, len(users))
	for i := range users {
		u := &users[i]
		su := server.User{Name: u.Name, Certificate: u.Auth == config.AuthCertificate}
		switch {
		case u.Auth == config.AuthOS:
			su.NoPassword = "accounts of the operating system (Auth=\"OS\") are not used: write Auth=\"Server\" with a hash of edgeua users hash"
		case !u.CanLogIn():
		case u.Hashed():
			su.Hash = []byte(u.Password)
		default:
			su.Password = u.Password
		}
		all = append(all, su)
	}
	return all
}

func serverLimits(l *config.Limits) server.Limits {
	return server.Limits{
		MaxConnections: l.MaxConnections, MaxSecureChannels: l.MaxSecureChannels,
		MaxMessageSize: uint32(l.MaxMessageSize), MaxChunkCount: uint32(l.MaxChunkCount),
		Encoding: uabinary.Limits{
			MaxStringLength: l.MaxStringLength, MaxByteStringLength: l.MaxByteStringLength,
			MaxArrayLength: l.MaxArrayLength, MaxAlloc: l.MaxAlloc,
		},

		MaxRequestAge: l.MaxRequestAge,
		MaxSessions:   l.MaxSessions, MaxSessionsPerClient: l.MaxSessionsPerClient,
		MinSessionTimeout: l.MinSessionTimeout, MaxSessionTimeout: l.MaxSessionTimeout,

		MaxContinuationPoints: l.MaxContinuationPoints, MaxBrowseResults: l.MaxBrowseResults,
		MaxNodesPerBrowse: l.MaxNodesPerBrowse, MaxNodesPerTranslate: l.MaxNodesPerTranslate,

		MinPublishingInterval: l.MinPublishingInterval, MaxPublishingInterval: l.MaxPublishingInterval,
		MinKeepAliveInterval:    l.MinKeepAliveInterval,
		MinSubscriptionLifetime: l.MinSubscriptionLifetime, MaxSubscriptionLifetime: l.MaxSubscriptionLifetime,
		MaxLifetimeCount:       math.MaxInt32, // the files bound it in time
		MaxRetransmissionQueue: l.MaxRetransmissionQueue, MaxNotificationsPerPublish: l.MaxNotificationsPerPublish,
		MaxSubscriptions: l.MaxSubscriptions, MaxSubscriptionsPerSession: l.MaxSubscriptionsPerSession,
		MaxMonitoredItems:                l.MaxMonitoredItems,
		MaxMonitoredItemsPerSubscription: l.MaxMonitoredItemsPerSubscription,
		MaxMonitoredItemsPerSession:      l.MaxMonitoredItemsPerSession,
		MaxQueueSize:                     uint32(l.MaxDataQueueSize),
		MinSamplingInterval:              l.MinSamplingInterval, AvailableSamplingRates: l.SamplingIntervals,
	}
}
