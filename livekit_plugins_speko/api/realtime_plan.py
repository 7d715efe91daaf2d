"""URL and handshake of a connection with a speech-to-speech session's credentials. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from .realtime_credentials import (
    DirectCredentials,
    ProxyCredentials,
    RealtimeCredentials,
    read_tools,
)
from .realtime_endpoints import (
    GOOGLE,
    OPENAI,
    PROVIDER_ENDPOINTS,
    XAI,
    safe_provider_endpoint,
    safe_proxy_url,
    unsafe_endpoint,
)
from .realtime_messages import Codec, NotSupported, ProviderSession
from .realtime_messages.google import GoogleCodec
from .realtime_messages.proxy import ProxyCodec
from .realtime_messages.xai import XaiCodec
from .websocket import Target


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A connection to be made with credentials: the address, and the form of the wire."""

    credentials: RealtimeCredentials
    target: Target
    codec: Codec


def plan_connection(
    credentials: RealtimeCredentials, base_url: str, *, handle: str | None = None
) -> Plan:
    """Plan a connection. A resumption `handle` continues a session of Google's.

    Raises:
        SpekoApiError: An address that must not be sent the credentials.
        NotSupported: A form that can't be spoken here.
    """
    if isinstance(credentials, ProxyCredentials):
        return _plan_proxy(credentials, base_url)
    if isinstance(credentials, DirectCredentials):
        return _plan_provider(credentials, base_url, handle)
    raise NotSupported(
        "This session's model runs in Speko's own worker, in a LiveKit room (transport livekit): "
        "a worker of your own has nothing to do there. Give `for_browser()` to a page, or choose "
        "a model that Speko does not host."
    )


def _plan_proxy(credentials: ProxyCredentials, base_url: str) -> Plan:
    url = safe_proxy_url(credentials.ws_url, base_url=base_url)
    if url is None:
        raise unsafe_endpoint("wsUrl", "wss, or ws on this machine while the API is on it")
    target = Target(
        url=url,
        subprotocols=(credentials.ws_token,),
        tokens=credentials.tokens,
    )
    codec = ProxyCodec(
        input_sample_rate=credentials.input_sample_rate,
        output_sample_rate=credentials.output_sample_rate,
    )
    return Plan(credentials=credentials, target=target, codec=codec)


def _plan_provider(credentials: DirectCredentials, base_url: str, handle: str | None) -> Plan:
    adapter = credentials.adapter
    if adapter == OPENAI or credentials.provider_transport == "webrtc":
        raise NotSupported(
            f"This session's provider ({credentials.provider}) is spoken to over WebRTC, which "
            "this package does not do. Hand in an `AsyncSpeko` of the official SDK "
            "(pip install spekoai) in place of `Speko`."
        )
    if adapter not in PROVIDER_ENDPOINTS:
        raise NotSupported(
            f"This session's adapter is {adapter!r}, expected one of "
            f"{', '.join(PROVIDER_ENDPOINTS)}. Update this package, or choose another model."
        )
    url = safe_provider_endpoint(adapter, credentials.endpoint, base_url=base_url)
    if url is None:
        raise unsafe_endpoint("endpoint", PROVIDER_ENDPOINTS[adapter])
    session = _provider_session(credentials)
    secret = credentials.credential.value
    if adapter == XAI:
        target = Target(
            url=url,
            query={"model": credentials.model},
            subprotocols=(f"xai-client-secret.{secret}",),
            tokens=credentials.tokens,
            peer="xAI",
        )
        return Plan(credentials=credentials, target=target, codec=XaiCodec(session))
    assert adapter == GOOGLE, "each adapter with an endpoint has a codec"
    target = Target(
        url=url, query={"access_token": secret}, tokens=credentials.tokens, peer="Google"
    )
    codec = GoogleCodec(session, handle=handle)
    return Plan(credentials=credentials, target=target, codec=codec)


def _provider_session(credentials: DirectCredentials) -> ProviderSession:
    settings = credentials.session
    temperature = settings.get("temperature")
    return ProviderSession(
        model=credentials.model,
        voice=_text(settings.get("voice")),
        instructions=_text(settings.get("instructions")),
        temperature=temperature if isinstance(temperature, int | float) else None,
        tools=read_tools(settings),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
