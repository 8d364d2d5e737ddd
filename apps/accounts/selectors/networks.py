"""Where staff may come from: reads the list of allowed networks, decides nothing else."""

from collections.abc import Collection, Iterable
from ipaddress import ip_address, ip_network

from django.db.models import Q

from apps.accounts.models import AllowedNetwork
from rtx.kernel import clock


def lets_in(*, user_id: int, ip: str) -> bool:
    """Tell whether a member of staff may come from an address: any one while no entry applies to them."""
    return contains(listed(user_id=user_id), ip)


def listed(*, user_id: int, but: Collection[int] = ()) -> list[str]:
    """Return the networks that apply to a member of staff now, without the rows `but`."""
    applying = AllowedNetwork.objects.filter(Q(user_id=user_id) | Q(user=None)).filter(
        Q(until=None) | Q(until__gt=clock.now())
    )
    return list(applying.exclude(pk__in=but).values_list("network", flat=True))


def contains(listed: Iterable[str], ip: str) -> bool:
    """Tell whether an address lies in one of the networks; an empty list holds every address."""
    networks = [ip_network(one, strict=False) for one in listed]
    if not networks:
        return True
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
