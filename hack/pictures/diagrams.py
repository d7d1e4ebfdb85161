"""Describe the diagrams of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from hack.pictures.drawing import Arrow, Box, Color, Group, Label, Picture


def architecture() -> Picture:
    return Picture(
        "architecture",
        1030,
        490,
        "Tenants reach the API server through kube-apiserver of the management cluster; its controllers write to the hardware cluster.",
        (
            Box(160, 16, 290, 44, ("tenants: kubectl, CAPM3, GitOps",)),
            Box(770, 16, 230, 44, ("owner of the hardware",)),
            Group(20, 86, 590, 384, "management cluster", "blue"),
            Group(740, 86, 275, 384, "hardware cluster", "orange"),
            Box(180, 130, 250, 56, ("kube-apiserver", "RBAC, Secrets, Namespaces")),
            Box(40, 256, 250, 84, ("metal3-workloads serve", "Workload · WorkloadClass · Host", "BareMetalHost view"), bold=True),
            Box(380, 256, 210, 84, ("metal3-workloads", "controllers: scheduler,", "classes, offers, releases"), bold=True),
            Box(40, 396, 250, 56, ("storage", "SQLite (default) or etcd")),
            Box(770, 130, 230, 56, ("kube-apiserver", "BareMetalHosts, BMC secrets")),
            Box(770, 256, 230, 56, ("Baremetal Operator", "inspects, provisions, cleans")),
            Box(770, 396, 230, 56, ("servers",)),
            Arrow(((305, 60), (305, 130))),
            Arrow(((940, 60), (940, 130))),
            Arrow(((235, 186), (235, 256))),
            Label(226, 226, "APIService", "end"),
            Arrow(((405, 256), (405, 186))),
            Arrow(((380, 298), (290, 298))),
            Label(335, 290, "HTTPS"),
            Arrow(((165, 340), (165, 396))),
            Arrow(((590, 298), (665, 298), (665, 158), (770, 158))),
            Label(673, 240, "provider", "start"),
            Arrow(((885, 256), (885, 186))),
            Arrow(((885, 312), (885, 396))),
        ),
    )


def workload_life() -> Picture:
    return Picture(
        "workload-life",
        1150,
        500,
        "The phases of a Workload: Pending, Bound, Provisioning, Running, Stopped, Failed and Lost; deletion leads to Deprovisioning.",
        (
            Group(10, 14, 1130, 330, "until the Workload is deleted", "blue"),
            Box(30, 120, 160, 60, ("Pending", "waits for a host"), bold=True),
            Box(290, 120, 160, 60, ("Bound", "has a host"), bold=True),
            Box(530, 120, 160, 60, ("Provisioning", "is being installed"), bold=True),
            Box(780, 120, 140, 60, ("Running", "as requested"), bold=True),
            Box(1020, 120, 110, 60, ("Stopped", "off"), bold=True),
            Box(530, 260, 160, 60, ("Failed", "is tried again"), bold=True),
            Box(770, 260, 170, 60, ("Lost", "create another one"), bold=True),
            Arrow(((190, 150), (290, 150))),
            Label(240, 142, "a host fits"),
            Arrow(((310, 180), (310, 230), (110, 230), (110, 180))),
            Label(210, 222, "another claim was faster"),
            Arrow(((450, 150), (530, 150))),
            Label(490, 142, "image"),
            Arrow(((690, 150), (780, 150))),
            Label(735, 142, "installed"),
            Arrow(((920, 140), (1020, 140))),
            Label(970, 132, "online: false"),
            Arrow(((1020, 164), (920, 164))),
            Label(970, 182, "online: true"),
            Arrow(((585, 180), (585, 260))),
            Label(577, 224, "error", "end"),
            Arrow(((635, 260), (635, 180))),
            Label(643, 224, "next attempt", "start"),
            Arrow(((850, 180), (850, 260))),
            Label(858, 224, "its owner takes the host back", "start"),
            Arrow(((850, 120), (850, 84), (610, 84), (610, 120))),
            Label(730, 76, "another image, updatePolicy: Recreate"),
            Arrow(((370, 344), (370, 420))),
            Label(378, 386, "kubectl delete", "start"),
            Box(280, 420, 180, 60, ("Deprovisioning", "emptied and cleaned"), bold=True),
            Arrow(((460, 450), (570, 450))),
            Label(515, 442, "released"),
            Box(570, 420, 230, 60, ("the host is offered again", "the Workload is gone")),
        ),
    )


LANES = (110, 390, 670, 950)
STEPS: tuple[tuple[int, int, str], ...] = (
    (3, 2, "real hosts, their hardware and state"),
    (2, 1, "Host, and the namespaces that may have it"),
    (1, 0, "BareMetalHost view: available"),
    (0, 1, "Workload, or consumerRef in the view"),
    (2, 1, "binding: one commit, or 409"),
    (2, 3, "consumerRef and the Workload's uid"),
    (3, 2, "written"),
    (2, 1, "status: the claim is confirmed"),
    (2, 3, "copies of secrets, then the image"),
    (3, 2, "provisioned, powered on"),
    (2, 1, "status: Running"),
    (0, 1, "delete the Workload"),
    (2, 3, "no image; secrets are deleted"),
    (3, 2, "cleaned: available"),
    (2, 1, "the claim ends, in one commit"),
    (1, 0, "the Workload is gone; offered again"),
)
STATES = {2: "Available", 5: "Bound, Assumed", 8: "Bound, Confirmed", 15: "Available"}
"""The states of the Host on the API server's line, after so many steps."""


def claim_life() -> Picture:
    heads = ("tenant or CAPM3", "API server", "controllers", "hardware cluster")
    colors: tuple[Color, ...] = ("plain", "blue", "blue", "orange")
    parts: list[Box | Arrow | Label] = [
        Box(x - 90, 14, 180, 40, (head,), color=color, bold=True) for x, head, color in zip(LANES, heads, colors, strict=True)
    ]
    y = 92
    tops = {lane: 54 for lane in range(4)}
    for number, (start, end, text) in enumerate(STEPS, 1):
        parts += [Arrow(((LANES[start], y), (LANES[end], y)), mark=start == 0), Label((LANES[start] + LANES[end]) // 2, y - 7, text)]
        if number in STATES:
            parts += [Box(LANES[1] - 75, y + 12, 150, 28, (STATES[number],), dashed=True), *_lane(1, tops[1], y + 12)]
            tops[1], y = y + 40, y + 40
        y += 38
    parts += [line for lane in range(4) for line in _lane(lane, tops[lane], y - 20)]
    title = "A claim from the offer of a free host to its release: which party writes what, in order."
    return Picture("claim-life", 1060, y, title, tuple(parts))


def _lane(lane: int, top: int, bottom: int) -> Iterator[Arrow]:
    yield Arrow(((LANES[lane], top), (LANES[lane], bottom)), dashed=True, head=False)


def capm3() -> Picture:
    return Picture(
        "capm3",
        1080,
        450,
        "Two tenants' CAPM3 see the same free hosts, and each only its own claimed ones.",
        (
            Group(20, 14, 700, 420, "management cluster", "blue"),
            Group(40, 54, 660, 176, "namespace a", "deep"),
            Group(40, 244, 660, 176, "namespace b", "deep"),
            Group(780, 14, 285, 420, "hardware cluster", "orange"),
            Box(56, 110, 210, 56, ("CAPM3", "Metal3Machine worker-0"), bold=True),
            Box(310, 98, 220, 52, ("BareMetalHost host-0", "consumer worker-0")),
            Box(310, 164, 220, 52, ("BareMetalHost host-1", "available"), dashed=True),
            Box(570, 98, 110, 52, ("Workload",)),
            Box(56, 330, 210, 56, ("CAPM3", "Metal3Machine md-7"), bold=True),
            Box(310, 288, 220, 52, ("BareMetalHost host-1", "available"), dashed=True),
            Box(310, 354, 220, 52, ("BareMetalHost host-2", "consumer md-7")),
            Box(570, 354, 110, 52, ("Workload",)),
            Box(805, 98, 235, 52, ("BareMetalHost host-0", "BMC, credentials")),
            Box(805, 226, 235, 52, ("BareMetalHost host-1", "free: offered to both")),
            Box(805, 354, 235, 52, ("BareMetalHost host-2", "BMC, credentials")),
            Arrow(((266, 130), (310, 130))),
            Arrow(((266, 370), (310, 370))),
            Arrow(((530, 124), (570, 124))),
            Arrow(((530, 380), (570, 380))),
            Arrow(((680, 124), (805, 124))),
            Arrow(((680, 380), (805, 380))),
            Arrow(((530, 190), (750, 190), (750, 242), (805, 242)), dashed=True, head=False),
            Arrow(((530, 314), (750, 314), (750, 262), (805, 262)), dashed=True, head=False),
        ),
    )


def classes() -> Picture:
    rows: tuple[tuple[str, str, str, str, Color], ...] = (
        ("metal", "metal3.io/baremetalhost", "servers", "Baremetal Operator", "orange"),
        ("edge", "metal3.io/relay", "hosts of another site", "metal3-workloads there", "violet"),
        ("vms", "metal3.io/kubevirt", "virtual machines", "KubeVirt", "green"),
        ("cloud", "metal3.io/cloud", "instances", "EC2, OpenStack", "plain"),
    )
    parts: list[Box | Group | Arrow | Label] = [
        Group(20, 14, 640, 416, "management cluster", "blue"),
        Label(735, 38, "sources of machines", "start", bold=True),
        Box(40, 66, 230, 60, ("Workload", "what to run, what it needs"), bold=True),
        Box(40, 250, 230, 60, ("Host", "one for each machine"), bold=True),
        Arrow(((270, 94), (390, 94))),
        Label(330, 86, "className"),
        Arrow(((155, 126), (155, 250))),
        Label(163, 192, "claims", "start"),
        Arrow(((270, 280), (330, 280), (330, 110), (390, 110))),
        Label(322, 210, "offered by", "end"),
        Label(698, 86, "provider"),
    ]
    for number, (name, provisioner, machines, system, color) in enumerate(rows):
        y = 66 + 92 * number
        parts += [
            Box(390, y, 250, 60, (f"WorkloadClass {name}", provisioner), bold=True),
            Box(735, y, 235, 60, (machines, system), color=color),
            Arrow(((640, y + 30), (735, y + 30))),
        ]
    title = "A Workload names a WorkloadClass; each class has a provider, which connects to a source of machines."
    return Picture("classes", 990, 444, title, tuple(parts))


def hybrid() -> Picture:
    parts: list[Box | Group | Arrow | Label] = [
        Group(20, 14, 1080, 200, "namespace of a tenant, with one Cluster API cluster", "blue"),
        Box(40, 254, 510, 48, ("WorkloadClass metal · metal3.io/baremetalhost",)),
        Box(570, 254, 510, 48, ("WorkloadClass vms · metal3.io/kubevirt",)),
        Group(40, 350, 510, 120, "hardware cluster", "orange"),
        Group(570, 350, 510, 120, "KubeVirt cluster", "green"),
        Arrow(((295, 302), (295, 350))),
        Label(303, 330, "the Baremetal Operator provisions", "start"),
        Arrow(((825, 302), (825, 350))),
        Label(833, 330, "made when claimed", "start"),
        Label(168, 118, "hostSelector", "start"),
    ]
    below = ("server 0", "server 1", "VirtualMachine", "VirtualMachine")
    for number, (machine, host, kind) in enumerate(
        (("server-0", "host-0", "server"), ("server-1", "host-1", "server"), ("vm-0", "small-0", "vm"), ("vm-1", "small-1", "vm"))
    ):
        x = (40, 305, 570, 835)[number]
        parts += [
            Box(x, 52, 245, 42, (f"Metal3Machine {machine}",)),
            Box(x, 140, 245, 56, (f"BareMetalHost {host}", f"kind={kind}"), bold=True),
            Box(x + 20, 396, 205, 52, (below[number],)),
            Arrow(((x + 120, 94), (x + 120, 140))),
            Arrow(((x + 120, 196), (x + 120, 254))),
        ]
    title = "Servers and virtual machines in one Cluster API cluster: two classes, two sources, one namespace."
    return Picture("hybrid", 1120, 486, title, tuple(parts))


def pivot() -> Picture:
    return Picture(
        "pivot",
        1160,
        470,
        "A cluster moves: its Metal3Machine is in the target cluster, the Workload of the source keeps the host, and the server runs on.",
        (
            Group(20, 14, 330, 440, "target cluster", "green"),
            Group(415, 14, 330, 440, "source cluster", "blue"),
            Group(810, 14, 330, 440, "hardware cluster", "orange"),
            Box(40, 58, 290, 56, ("Metal3Machine m", "new uid, same name"), bold=True),
            Box(435, 58, 290, 56, ("Metal3Machine m", "gone, and nothing was released"), dashed=True),
            Box(
                40, 158, 290, 76, ("BareMetalHost host-0 (view)", "same name, namespace and uid", "consumerRef: Metal3Machine m"), bold=True
            ),
            Box(435, 158, 290, 76, ("BareMetalHost host-0 (view)", "uid 27c3…", "consumerRef: Workload of the target"), bold=True),
            Box(830, 158, 290, 76, ("BareMetalHost host-0", "BMC address, credentials", "consumerRef: Workload of the source"), bold=True),
            Box(40, 278, 290, 56, ("Workload", "made by the claim · class relay"), bold=True),
            Box(435, 278, 290, 56, ("Workload", "keeps the host · class metal"), bold=True),
            Box(830, 278, 290, 56, ("server", "runs on, untouched")),
            Arrow(((435, 86), (330, 86)), dashed=True, mark=True),
            Label(382, 78, "move"),
            Arrow(((185, 114), (185, 158))),
            Arrow(((185, 234), (185, 278))),
            Arrow(((580, 234), (580, 278))),
            Arrow(((975, 234), (975, 278))),
            Arrow(((330, 306), (382, 306), (382, 196), (435, 196))),
            Arrow(((725, 306), (777, 306), (777, 196), (830, 196))),
            Label(185, 370, "relay: it has a tenant's credentials"),
            Label(185, 390, "of the source cluster, and no others"),
            Label(580, 370, "provider: it has credentials"),
            Label(580, 390, "of the hardware cluster"),
        ),
    )


PICTURES = tuple(draw() for draw in (architecture, workload_life, claim_life, capm3, classes, hybrid, pivot))
