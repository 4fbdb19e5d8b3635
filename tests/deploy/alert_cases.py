"""When each alert must fire, and the life in which none may: what prometheus_test.py gives to promtool.

Series are in promtool's notation, a value a minute; `@` stands for the labels that every series of a peer has.
"""

PEER = 'job="peermesh",instance="a:9464"'

# Alert -> series, the last minute at which it must not fire, the first at which it must, labels besides job and instance.
FIRES = {
    "PeerMeshDown": (['up{@} 1x10 0x20'], 12, 14, {}),
    "PeerMeshRestarting": (['process_start_time_seconds{@} 1x10 2x2 3x2 4x2 5x30', 'peermesh_build_info{@} 1x60'], 19, 21, {}),
    "PeerMeshPeerDead": (['peermesh_peers{@,state="dead"} 0x10 1x20'], 15, 17, {"instance": None}),
    "PeerMeshPartitioned": (['peermesh_peers{@,state="unreachable"} 0x10 2x20'], 15, 17, {}),
    "PeerMeshIsolated": (['peermesh_links{@} 1x10 0x20', 'peermesh_peers{@,state="dead"} 0x10 2x20',
                          'peermesh_peers{@,state="alive"} 2x10 0x20'], 15, 17, {}),
    "PeerMeshMessagesLost": (['peermesh_messages_total{@,event="delivered"} 0+6000x60',
                              'peermesh_gap_numbers_total{@,reason="link_lost"} 0x10 0+600x50'], 18, 26, {}),
    "PeerMeshSlowSubscribers": (['peermesh_sessions_slow{@} 0x10 3x30'], 25, 27, {}),
    "PeerMeshRateLimited": (['peermesh_publishes_refused_total{@,reason="rate_limited"} 0x10 0+60x40'], 24, 32,
                            {"reason": "rate_limited"}),
    "PeerMeshConnectionsRefused": (['peermesh_connections_refused_total{@,listener="mesh",reason="total"} 0x10 0+60x40'],
                                   19, 27, {"listener": "mesh", "reason": "total"}),
    "PeerMeshHandshakesRefused": (
        ['peermesh_handshakes_refused_total{@,layer="tls",direction="inbound",reason="wrong_ca"} 0x10 0+60x40'], 24, 32,
        {"reason": "wrong_ca"}),
    "PeerMeshClockWrong": (
        ['peermesh_handshakes_refused_total{@,layer="tls",direction="inbound",reason="not_yet_valid"} 0x10 0+1x60'], 20, 24, {}),
    "PeerMeshCallsFail": (
        ['grpc_server_handled_total{@,grpc_type="unary",grpc_service="s",grpc_method="m",grpc_code="OK"} 0+600x60',
         'grpc_server_handled_total{@,grpc_type="unary",grpc_service="s",grpc_method="m",grpc_code="Internal"} 0x10 0+300x50',
         'peermesh_build_info{@} 1x60'], 19, 27, {}),
    # 25 hours left at the start.
    "PeerMeshCertificateExpiresSoon": (['peermesh_certificate_expiry_timestamp_seconds{@} 90000x200'], 69, 72, {}),
    "PeerMeshCertificateExpired": (['peermesh_certificate_expiry_timestamp_seconds{@} 1800x60'], 29, 31, {}),
    "PeerMeshRenewalFails": (['peermesh_certificate_renewals_failed_total{@} 0x10 1x30 2x30 3x30 4x60'], 60, 140, {}),
    "PeerMeshLeakProven": (['peermesh_resource_leak_suspects{@,kind="stream",rule="orphan",tier="proof"} 0x10 2x20'], 10, 13,
                           {"kind": "stream", "rule": "orphan"}),
    "PeerMeshLeakSuspected": (['peermesh_resource_leak_suspects{@,kind="session",rule="idle",tier="strong"} 0x10 2x20'], 15, 17,
                              {"kind": "session", "rule": "idle"}),
    "PeerMeshLedgerViolated": (['peermesh_resource_violations_total{@} 0x10 1x20'], 10, 12, {}),
    # A release that is never booked, once: in every count from then on.
    "PeerMeshLedgerUnbalanced": (['peermesh_resource_acquired_total{@,kind="fd"} 0+10x90',
                                  'peermesh_resource_released_total{@,kind="fd",outcome="ok"} 0+10x10 99+10x79',
                                  'peermesh_resource_live{@,kind="fd"} 0x90'], 49, 54, {"kind": "fd"}),
    "PeerMeshResourceNearLimit": (['peermesh_resource_live{@,kind="session"} 10x10 95x30',
                                   'peermesh_resource_limit{@,kind="session"} 100x40'], 20, 22, {"kind": "session"}),
    "PeerMeshDescriptorsNearLimit": (['process_open_fds{@} 100x10 850x30', 'process_max_fds{@} 1000x40',
                                      'peermesh_build_info{@} 1x40'], 20, 22, {}),
    "PeerMeshLogDropped": (['peermesh_log_lines_dropped_total{@} 0x10 0+5x40'], 19, 24, {}),
}

MINUTES = 12 * 60
RAMP = f"0+10x{MINUTES}"
# A day of two humps in half the time: up for three hours, down for three hours, twice.
DAILY = "100+20x180 3700-20x180 100+20x180 3700-20x180"


def steady(value):
    return f"{value}x{MINUTES}"


# Loads that look like leaks, or like trouble, to a rule that follows slopes. Nothing may fire, at any hour.
QUIET = {
    "a ramp: twelve hours of growth, all of it in use": [
        f'up{{@}} {steady(1)}', f'peermesh_build_info{{@}} {steady(1)}',
        f'peermesh_resource_live{{@,kind="stream"}} {RAMP}', f'peermesh_resource_acquired_total{{@,kind="stream"}} 0+50x{MINUTES}',
        f'peermesh_resource_released_total{{@,kind="stream",outcome="ok"}} 0+40x{MINUTES}',
        f'peermesh_resource_limit{{@,kind="stream"}} {steady(10000)}',
        f'peermesh_resource_leak_suspects{{@,kind="stream",rule="cohort",tier="weak"}} 0+1x{MINUTES}',
        f'peermesh_resource_unclaimed{{@,class="socket"}} 0+1x{MINUTES}',
        f'peermesh_resource_unclaimed_baseline{{@,class="socket"}} {steady(3)}',
        f'process_open_fds{{@}} 25+1x{MINUTES}', f'process_max_fds{{@}} {steady(1024)}',
        f'process_resident_memory_bytes{{@}} 3e7+1e6x{MINUTES}',
        f'peermesh_sessions{{@}} {RAMP}', f'peermesh_subscriptions{{@}} {RAMP}', f'peermesh_sessions_slow{{@}} {steady(0)}',
        f'peermesh_messages_total{{@,event="delivered"}} 0+100000x{MINUTES}',
        f'peermesh_certificate_expiry_timestamp_seconds{{@}} {steady(7 * 86400)}',
    ],
    "a day: everything comes and goes": [
        f'up{{@}} {steady(1)}', f'peermesh_build_info{{@}} {steady(1)}',
        f'peermesh_resource_live{{@,kind="session"}} {DAILY}',
        f'process_open_fds{{@}} {DAILY}', f'process_max_fds{{@}} {steady(65536)}',
        f'peermesh_peers{{@,state="alive"}} {steady(2)}', f'peermesh_peers{{@,state="dead"}} 0x100 1x3 0x617',
        f'peermesh_peers{{@,state="left"}} 0x100 1x620', f'peermesh_links{{@}} 2x100 1x620',
        f'process_start_time_seconds{{@}} 100x300 20000x420',
        f'peermesh_certificate_renewals_failed_total{{@}} 0x200 1x520',
        f'peermesh_publishes_refused_total{{@,reason="rate_limited"}} 0x50 20x670',
    ],
    "churn: what is counted one by one is a moment behind the counters, either way": [
        f'peermesh_resource_acquired_total{{@,kind="call"}} 0+6000x{MINUTES}',
        f'peermesh_resource_released_total{{@,kind="call",outcome="ok"}} 0+6000x{MINUTES}',
        'peermesh_resource_live{@,kind="call"} ' + " ".join(["0", "3", "1", "0", "2"] * (MINUTES // 5)),
        'grpc_server_handled_total{@,grpc_type="unary",grpc_service="s",grpc_method="m",grpc_code="NotFound"} '
        f'0+600x{MINUTES}',
        f'peermesh_build_info{{@}} {steady(1)}',
    ],
    "somebody else's process, with names that everybody uses": [
        f'process_open_fds{{job="other",instance="b:1"}} {steady(1000)}',
        f'process_max_fds{{job="other",instance="b:1"}} {steady(1024)}',
        f'up{{job="other",instance="b:1"}} {steady(0)}',
        'grpc_server_handled_total{job="other",instance="b:1",grpc_service="s",grpc_method="m",grpc_code="Internal"} '
        f'0+600x{MINUTES}',
    ],
}
