"""Where the stores and the made-up customers are. Coordinates are of city centres, from general knowledge."""

from __future__ import annotations

import math
from dataclasses import dataclass

EARTH_RADIUS_KM = 6371.0


@dataclass(frozen=True)
class Store:
    code: str
    name: str
    city: str
    latitude: float
    longitude: float


@dataclass(frozen=True)
class City:
    """`country` is ISO 3166-1 alpha-2; `postcodes` are districts (UK) or whole codes, empty where unused.

    `weight` is how many thousand people live there, roughly: it decides how many customers do. `phones`
    names a range of PHONE_RANGES, or is empty where no range for fiction is known.
    """

    name: str
    country: str
    postcodes: tuple[str, ...]
    latitude: float
    longitude: float
    weight: float = 1
    phones: str = ""


STORES = (
    Store("LON", "Covent Garden", "London", 51.512, -0.124),
    Store("MAN", "Northern Quarter", "Manchester", 53.484, -2.236),
    Store("EDI", "Grassmarket", "Edinburgh", 55.947, -3.196),
)
MAIN_STORE = STORES[0].code

# Ranges set aside for films and books: (E.164 prefix, first and last number behind it, its digits).
# UK: Ofcom; 07700 900 000-999 (mobile) and 0115 496 0xxx are not used because the `phonenumbers` library
# takes them for invalid. Germany: Bundesnetzagentur, communication 148/2021. France: ARCEP. Sweden: PTS.
# Australia: ACMA. North America: 555-0100 to 555-0199.
PHONE_RANGES: dict[str, tuple[str, int, int, int]] = {
    "London": ("+442079460", 0, 999, 3),
    "Manchester": ("+441614960", 0, 999, 3),
    "Edinburgh": ("+441314960", 0, 999, 3),
    "Leeds": ("+441134960", 0, 999, 3),
    "Sheffield": ("+441144960", 0, 999, 3),
    "Leicester": ("+441164960", 0, 999, 3),
    "Bristol": ("+441174960", 0, 999, 3),
    "Reading": ("+441184960", 0, 999, 3),
    "Birmingham": ("+441214960", 0, 999, 3),
    "Glasgow": ("+441414960", 0, 999, 3),
    "Liverpool": ("+441514960", 0, 999, 3),
    "Tyneside": ("+441914980", 0, 999, 3),
    "Cardiff": ("+442920180", 0, 999, 3),
    "Belfast": ("+442896496", 0, 999, 3),
    "UK": ("+443069990", 0, 999, 3),
    "Berlin": ("+493023125", 0, 999, 3),
    "Hamburg": ("+494066969", 0, 999, 3),
    "Munich": ("+498999998", 0, 999, 3),
    "Frankfurt": ("+496990009", 0, 999, 3),
    "Cologne": ("+492214710", 0, 999, 3),
    "Paris": ("+3319900", 0, 9999, 4),
    "Nantes": ("+3326191", 0, 9999, 4),
    "Lille": ("+3335301", 0, 9999, 4),
    "Lyon": ("+3346571", 0, 9999, 4),
    "Bordeaux": ("+3353649", 0, 9999, 4),
    "Sweden": ("+4670174", 605, 699, 4),
    "Sydney": ("+6125550", 0, 9999, 4),
    "Melbourne": ("+6135550", 0, 9999, 4),
    "New York": ("+12125550", 100, 199, 3),
    "Toronto": ("+14165550", 100, 199, 3),
}

UK_TOWNS = (
    City("London", "GB", ("E8", "N1", "SE5", "SW4", "W6", "NW3"), 51.507, -0.128, 2200, "London"),
    City("Croydon", "GB", ("CR0",), 51.376, -0.098, 190, "London"),
    City("Reading", "GB", ("RG1", "RG4"), 51.454, -0.973, 230, "Reading"),
    City("Oxford", "GB", ("OX1", "OX4"), 51.752, -1.258, 160, "UK"),
    City("Cambridge", "GB", ("CB1", "CB4"), 52.205, 0.122, 145, "UK"),
    City("Brighton", "GB", ("BN1", "BN2"), 50.823, -0.137, 230, "UK"),
    City("Southampton", "GB", ("SO14", "SO17"), 50.904, -1.404, 250, "UK"),
    City("Portsmouth", "GB", ("PO1", "PO4"), 50.805, -1.087, 210, "UK"),
    City("Canterbury", "GB", ("CT1",), 51.280, 1.079, 60, "UK"),
    City("Norwich", "GB", ("NR1", "NR3"), 52.630, 1.297, 140, "UK"),
    City("Ipswich", "GB", ("IP1", "IP4"), 52.059, 1.156, 140, "UK"),
    City("Colchester", "GB", ("CO1",), 51.890, 0.902, 120, "UK"),
    City("Milton Keynes", "GB", ("MK9", "MK14"), 52.041, -0.759, 230, "UK"),
    City("Bristol", "GB", ("BS1", "BS6", "BS8"), 51.455, -2.588, 470, "Bristol"),
    City("Bath", "GB", ("BA1", "BA2"), 51.381, -2.359, 95, "UK"),
    City("Exeter", "GB", ("EX1", "EX4"), 50.726, -3.527, 130, "UK"),
    City("Plymouth", "GB", ("PL1", "PL4"), 50.376, -4.143, 260, "UK"),
    City("Cardiff", "GB", ("CF10", "CF24"), 51.482, -3.179, 360, "Cardiff"),
    City("Swansea", "GB", ("SA1", "SA2"), 51.621, -3.944, 240, "UK"),
    City("Birmingham", "GB", ("B1", "B13", "B15"), 52.486, -1.890, 1100, "Birmingham"),
    City("Coventry", "GB", ("CV1", "CV5"), 52.408, -1.510, 350, "UK"),
    City("Leicester", "GB", ("LE1", "LE2"), 52.637, -1.140, 360, "Leicester"),
    City("Nottingham", "GB", ("NG1", "NG7"), 52.954, -1.158, 320, "UK"),
    City("Derby", "GB", ("DE1", "DE22"), 52.922, -1.477, 260, "UK"),
    City("Stoke-on-Trent", "GB", ("ST1", "ST4"), 53.003, -2.180, 260, "UK"),
    City("Sheffield", "GB", ("S1", "S7", "S11"), 53.381, -1.470, 550, "Sheffield"),
    City("Lincoln", "GB", ("LN1",), 53.231, -0.541, 100, "UK"),
    City("Manchester", "GB", ("M1", "M4", "M20", "M21"), 53.481, -2.242, 900, "Manchester"),
    City("Stockport", "GB", ("SK1", "SK4"), 53.408, -2.150, 140, "Manchester"),
    City("Liverpool", "GB", ("L1", "L8", "L17"), 53.408, -2.992, 490, "Liverpool"),
    City("Chester", "GB", ("CH1",), 53.191, -2.892, 80, "UK"),
    City("Preston", "GB", ("PR1",), 53.763, -2.703, 140, "UK"),
    City("Leeds", "GB", ("LS1", "LS6", "LS8"), 53.801, -1.549, 800, "Leeds"),
    City("Bradford", "GB", ("BD1", "BD9"), 53.795, -1.752, 350, "UK"),
    City("York", "GB", ("YO1", "YO10"), 53.960, -1.082, 150, "UK"),
    City("Kingston upon Hull", "GB", ("HU1", "HU5"), 53.744, -0.333, 260, "UK"),
    City("Newcastle upon Tyne", "GB", ("NE1", "NE2"), 54.978, -1.618, 300, "Tyneside"),
    City("Durham", "GB", ("DH1",), 54.776, -1.575, 50, "UK"),
    City("Carlisle", "GB", ("CA1",), 54.893, -2.933, 75, "UK"),
    City("Edinburgh", "GB", ("EH1", "EH3", "EH9"), 55.953, -3.188, 520, "Edinburgh"),
    City("Glasgow", "GB", ("G1", "G12", "G41"), 55.861, -4.251, 630, "Glasgow"),
    City("Dundee", "GB", ("DD1",), 56.462, -2.971, 150, "UK"),
    City("Aberdeen", "GB", ("AB10", "AB24"), 57.149, -2.094, 200, "UK"),
    City("Inverness", "GB", ("IV1",), 57.478, -4.225, 50, "UK"),
    City("Belfast", "GB", ("BT1", "BT9"), 54.597, -5.930, 345, "Belfast"),
)

# By the country's name in the source. Where that is no country an address could be in ("Unspecified",
# "European Community", "West Indies"), its customers are not chosen.
CITIES: dict[str, tuple[City, ...]] = {
    "United Kingdom": UK_TOWNS,
    "Germany": (
        City("Berlin", "DE", ("10117", "10435"), 52.520, 13.405, 3600, "Berlin"),
        City("Hamburg", "DE", ("20095", "22765"), 53.551, 9.994, 1800, "Hamburg"),
        City("München", "DE", ("80331", "80799"), 48.137, 11.575, 1500, "Munich"),
        City("Köln", "DE", ("50667", "50823"), 50.938, 6.960, 1080, "Cologne"),
        City("Frankfurt am Main", "DE", ("60311", "60594"), 50.111, 8.682, 760, "Frankfurt"),
    ),
    "France": (
        City("Paris", "FR", ("75003", "75011"), 48.857, 2.352, 2100, "Paris"),
        City("Lyon", "FR", ("69001", "69004"), 45.764, 4.836, 520, "Lyon"),
        City("Nantes", "FR", ("44000",), 47.218, -1.554, 320, "Nantes"),
        City("Lille", "FR", ("59000",), 50.629, 3.057, 235, "Lille"),
        City("Bordeaux", "FR", ("33000",), 44.838, -0.579, 260, "Bordeaux"),
    ),
    "Spain": (
        City("Madrid", "ES", ("28004", "28012"), 40.417, -3.704, 3300),
        City("Barcelona", "ES", ("08002", "08012"), 41.385, 2.173, 1600),
        City("Sevilla", "ES", ("41001",), 37.389, -5.984, 690),
    ),
    "Belgium": (
        City("Bruxelles", "BE", ("1000", "1050"), 50.850, 4.352, 1200),
        City("Liège", "BE", ("4000",), 50.633, 5.567, 195),
    ),
    "Portugal": (
        City("Lisboa", "PT", ("1200-109", "1100-148"), 38.722, -9.139, 545),
        City("Porto", "PT", ("4000-322", "4050-253"), 41.150, -8.610, 230),
    ),
    "Netherlands": (
        City("Amsterdam", "NL", ("1012 AB", "1017 CD"), 52.370, 4.895, 870),
        City("Utrecht", "NL", ("3511 AB",), 52.091, 5.122, 360),
    ),
    "Switzerland": (
        City("Zürich", "CH", ("8001", "8004"), 47.377, 8.541, 420),
        City("Basel", "CH", ("4051",), 47.560, 7.588, 175),
    ),
    "Sweden": (
        City("Stockholm", "SE", ("111 29", "116 46"), 59.329, 18.069, 980, "Sweden"),
        City("Göteborg", "SE", ("411 08",), 57.709, 11.975, 590, "Sweden"),
    ),
    "Italy": (
        City("Roma", "IT", ("00184", "00153"), 41.903, 12.496, 2800),
        City("Milano", "IT", ("20121", "20144"), 45.464, 9.190, 1350),
    ),
    "Australia": (
        City("Sydney", "AU", ("2000", "2010"), -33.869, 151.209, 5000, "Sydney"),
        City("Melbourne", "AU", ("3000", "3065"), -37.814, 144.963, 4900, "Melbourne"),
    ),
    "Finland": (City("Helsinki", "FI", ("00100", "00530"), 60.170, 24.938),),
    "Channel Islands": (City("St Helier", "JE", ("JE2",), 49.187, -2.107),),
    "Norway": (City("Oslo", "NO", ("0150", "0555"), 59.914, 10.752),),
    "Austria": (City("Wien", "AT", ("1010", "1070"), 48.208, 16.374),),
    "Japan": (City("Tokyo", "JP", ("150-0001",), 35.690, 139.692),),
    "Denmark": (City("København", "DK", ("1150", "2200"), 55.676, 12.568),),
    "USA": (City("New York", "US", ("10003", "11201"), 40.713, -74.006, 1, "New York"),),
    "Cyprus": (City("Nicosia", "CY", ("1010",), 35.186, 33.382),),
    "Poland": (City("Warszawa", "PL", ("00-001", "00-545"), 52.230, 21.012),),
    "Greece": (City("Athens", "GR", ("105 52",), 37.984, 23.728),),
    "Canada": (City("Toronto", "CA", ("M5V 2T6",), 43.653, -79.383, 1, "Toronto"),),
    "EIRE": (City("Dublin", "IE", (), 53.350, -6.260),),
    "United Arab Emirates": (City("Dubai", "AE", (), 25.205, 55.271),),
    "Israel": (City("Tel Aviv", "IL", ("6100001",), 32.085, 34.782),),
    "Malta": (City("Valletta", "MT", ("VLT 1110",), 35.899, 14.514),),
    "RSA": (City("Cape Town", "ZA", ("8001",), -33.925, 18.424),),
    "Bahrain": (City("Manama", "BH", (), 26.229, 50.586),),
    "Korea": (City("Seoul", "KR", ("04524",), 37.567, 126.978),),
    "Brazil": (City("São Paulo", "BR", ("01310-100",), -23.551, -46.633),),
    "Nigeria": (City("Lagos", "NG", ("101233",), 6.524, 3.379),),
    "Singapore": (City("Singapore", "SG", ("179803",), 1.290, 103.852),),
    "Thailand": (City("Bangkok", "TH", ("10200",), 13.756, 100.502),),
    "Lithuania": (City("Vilnius", "LT", ("01100",), 54.687, 25.280),),
    "Iceland": (City("Reykjavík", "IS", ("101",), 64.147, -21.942),),
    "Lebanon": (City("Beirut", "LB", (), 33.894, 35.502),),
    "Saudi Arabia": (City("Riyadh", "SA", ("12211",), 24.714, 46.675),),
    "Czech Republic": (City("Praha", "CZ", ("110 00",), 50.076, 14.438),),
    "Hong Kong": (City("Hong Kong", "HK", (), 22.280, 114.159),),
}


def distance_km(lat1: float, lng1: float, lat2: float, lng2: float) -> float:
    """Great-circle distance between two points in degrees (haversine)."""
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    a = (
        math.sin((phi2 - phi1) / 2) ** 2
        + math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lng2 - lng1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(a))


def home_store(city: City) -> str:
    """The nearest store of a UK town. Everybody else is served from the main store, which ships abroad."""
    if city.country != "GB":
        return MAIN_STORE
    nearest = min(STORES, key=lambda s: distance_km(city.latitude, city.longitude, s.latitude, s.longitude))
    return nearest.code
