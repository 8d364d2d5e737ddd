"""
Made-up people for the demo broker. Names and addresses are invented; the mail domain is reserved for
examples.
"""

import io
import random
from dataclasses import dataclass
from datetime import date, timedelta

from reportlab.lib.pagesizes import A6
from reportlab.pdfgen.canvas import Canvas

STAFF = [
    ("operator@demo.example", "superadmin", "Olivia Operator"),
    ("admin@demo.example", "admin", "Ada Admin"),
    ("dealer@demo.example", "dealer", "Dan Dealer"),
    ("support@demo.example", "support", "Sue Support"),
    ("auditor@demo.example", "auditor", "Art Auditor"),
]
FIRST_NAMES = (
    "Anna", "Ben", "Carla", "David", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Liam",
    "Marta", "Nils", "Olga", "Pavel", "Quinn", "Rosa", "Stefan", "Tara", "Umar", "Vera", "Wanda",
    "Xavier", "Yara", "Zoran", "Amira", "Boris", "Chloe", "Diego", "Emma", "Farid", "Gina", "Hassan",
    "Iris", "Jakub", "Kira", "Leo", "Mina", "Noah",
)  # fmt: skip
LAST_NAMES = (
    "Adler", "Bianchi", "Costa", "Dvorak", "Eriksen", "Fischer", "Garcia", "Hansen", "Ivanov", "Jensen",
    "Keller", "Lindqvist", "Moreau", "Novak", "Oliveira", "Petrov", "Quist", "Rossi", "Schmidt",
    "Tanaka", "Ulrich", "Varga", "Weber", "Xu", "Yilmaz", "Zimmer", "Andersen", "Brandt", "Carvalho",
    "Dubois",
)  # fmt: skip
STREETS = (
    "Harbor Street", "Mill Lane", "Station Road", "Garden Row", "Castle Hill", "River Walk",
    "Market Square", "Oak Avenue",
)  # fmt: skip
COUNTRIES = (
    "DE", "FR", "ES", "IT", "NL", "PL", "SE", "DK", "CZ", "PT", "AT", "CH", "GB", "CY", "ZA", "AE", "SG",
    "JP",
)  # fmt: skip
KYC = ["verified"] * 8 + ["pending"] * 2 + ["none"]
YOUNGEST = date(2004, 1, 1)


@dataclass(frozen=True, slots=True)
class Person:
    """One invented client."""

    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    birth_date: date
    country: str
    kyc_status: str


def person(number: int, generator: random.Random) -> Person:
    """Return the demo's client of that number; the same generator state gives the same person."""
    first, last = generator.choice(FIRST_NAMES), generator.choice(LAST_NAMES)
    return Person(
        first_name=first,
        last_name=last,
        email=f"trader{number}@demo.example",
        phone=f"+49 30 {generator.randrange(1_000_000, 9_999_999)}",
        address=f"{generator.randrange(1, 200)} {generator.choice(STREETS)}",
        birth_date=YOUNGEST - timedelta(days=generator.randrange(0, 15_000)),
        country=generator.choice(COUNTRIES),
        kyc_status=generator.choice(KYC),
    )


def passport(holder: Person) -> bytes:
    """Return a page that stands for a scanned passport; it says that it is none."""
    found = io.BytesIO()
    page = Canvas(found, pagesize=A6, invariant=1)
    page.drawString(30, 350, "SPECIMEN - demo, no document")
    page.drawString(30, 320, f"{holder.first_name} {holder.last_name}, {holder.country}")
    page.drawString(30, 300, f"Born {holder.birth_date.isoformat()}")
    page.save()
    return found.getvalue()
