"""What a column of a file may be, and guessing it from the name that it has there, in several languages."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from customers.models import Channel

METADATA = "metadata."
METADATA_KEY_CHARS_MAX = 64
_METADATA_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]*")
CONSENT = "consent."
ADDRESS = "address."


@dataclass(frozen=True, slots=True)
class Target:
    """`words` are names of columns that mean it, in lower case, without accents and anything but letters and digits."""

    name: str
    title: str
    words: tuple[str, ...]
    group: str = "Customer"
    note: str = ""


def _target(name: str, title: str, words: str, group: str = "Customer", note: str = "") -> Target:
    return Target(name, title, tuple(words.split()), group, note)


_CONSENTS = {
    "email": "emailmarketing emailconsent newsletter newsletteroptin optin emailoptin acceptsemailmarketing subscribed "
    "marketingemail acceptsmarketing emailmarketingconsent emailsubscribed mailinglist werbung emailwerbung einwilligung "
    "newsletteranmeldung",
    "sms": "smsmarketing smsconsent smsoptin acceptssmsmarketing smswerbung smssubscribed",
    "push": "pushmarketing pushconsent pushoptin",
    "phone": "phonemarketing phoneconsent phoneoptin callconsent telefonwerbung",
    "mail": "mailmarketing postmarketing postalconsent mailoptin postwerbung postalmarketing",
}

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        _target(
            "email",
            "E-mail",
            "email emailaddress mail mailaddress emailadresse mailadresse emailadres courriel adressemail adresseemail "
            "correo correoelectronico correoe indirizzoemail postaelettronica epost emails customeremail contactemail",
        ),
        _target(
            "phone",
            "Phone",
            "phone phonenumber telephone telephonenumber tel mobile mobilephone mobilenumber cell cellphone telefon "
            "telefonnummer handy handynummer mobil mobilnummer rufnummer telefono telefonomovil movil celular cellulare "
            "portable telefoon telefoonnummer mobiel mobieltelefoon numerodetelephone gsm telnr customerphone contactnumber",
        ),
        _target(
            "customerNumber",
            "Customer number",
            "customernumber customerno customernr membernumber memberno membershipnumber cardnumber loyaltynumber kundennummer "
            "kundennr kdnr mitgliedsnummer kartennummer klantnummer numeroclient numerocliente codicecliente",
            note="The number that this service gave. A number that nobody has is a problem.",
        ),
        _target(
            "externalId",
            "ID in another system",
            "externalid customerid id externalcustomerid foreignid crmid shopifyid squarecustomerid squareid "
            "referenceid reference kundenid externeid clientid idcliente idclient uuid",
        ),
        _target(
            "firstName",
            "First name",
            "firstname givenname forename vorname prenom nombre nome voornaam fornavn fornamn first fname imie",
        ),
        _target(
            "lastName",
            "Last name",
            "lastname surname familyname nachname familienname nomdefamille apellido apellidos cognome achternaam etternavn "
            "efternamn last lname zuname nazwisko",
        ),
        _target(
            "name",
            "Whole name",
            "name fullname customername contactname kundenname nomcomplet nombrecompleto nomecompleto naam client customer kunde "
            "contact volledigenaam",
            note="“Anna Berg”, or “Berg, Anna”.",
        ),
        _target(
            "companyName",
            "Company",
            "company companyname business businessname organisation organization firma firmenname unternehmen entreprise societe "
            "empresa azienda bedrijf bedrijfsnaam ragionesociale razonsocial",
        ),
        _target(
            "taxId",
            "Tax number",
            "taxid taxnumber vat vatid vatnumber ustid ustidnr umsatzsteuerid steuernummer tva numerotva nif cif partitaiva "
            "btwnummer ein abn gstin",
        ),
        _target("type", "Type", "type customertype typ kundentyp art", note="individual or business"),
        _target(
            "status", "Status", "status customerstatus kundenstatus", note="active, inactive or suspended"
        ),
        _target(
            "dateOfBirth",
            "Date of birth",
            "dateofbirth birthdate birthday dob birth geburtsdatum geburtstag geboren datedenaissance naissance anniversaire "
            "fechadenacimiento nacimiento cumpleanos datadinascita compleanno geboortedatum verjaardag fodselsdato bday",
        ),
        _target(
            "gender",
            "Gender",
            "gender sex geschlecht sexe sexo sesso geslacht genero anrede salutation civilite",
        ),
        _target(
            "language",
            "Language",
            "language lang languagecode locale sprache langue idioma lingua taal preferredlanguage",
            note="A code such as de, or its name.",
        ),
        _target(
            "notes",
            "Notes",
            "notes note comment comments remark remarks memo notiz notizen bemerkung bemerkungen kommentar anmerkung remarques "
            "commentaire notas comentarios osservazioni opmerkingen customernote",
        ),
        _target(
            "tags",
            "Tags",
            "tags tag labels label groups group gruppe gruppen kundengruppe schlagworte schlagworter "
            "etiquettes etiquetas etichette category segment",
            note="Several are separated by comma or semicolon. They are added to those that there are.",
        ),
        _target(
            "homeStore",
            "Home store",
            "homestore store storecode branch location filiale laden geschaft stammfiliale magasin tienda negozio filiaal winkel",
            note="A store's code or name.",
        ),
        _target(
            f"{ADDRESS}street1",
            "Street",
            "street street1 address address1 addressline1 streetaddress strasse str strassehausnummer "
            "adresse anschrift rue adresse1 direccion calle indirizzo via adres straat",
            "Address",
        ),
        _target(
            f"{ADDRESS}street2",
            "Street, second line",
            "street2 address2 addressline2 adresszusatz zusatz adresse2 complement complementdadresse "
            "direccion2 suite apartment apt",
            "Address",
        ),
        _target(
            f"{ADDRESS}city",
            "City",
            "city town locality stadt ort wohnort ville ciudad poblacion citta comune plaats woonplaats stad by addresscity",
            "Address",
        ),
        _target(
            f"{ADDRESS}state",
            "State or county",
            "state province region county bundesland kanton departement provincia estado provincie stateprovince provincecode",
            "Address",
        ),
        _target(
            f"{ADDRESS}postalCode",
            "Postal code",
            "postalcode postcode zip zipcode plz postleitzahl codepostal codigopostal cap codicepostale postnummer postnr",
            "Address",
        ),
        _target(
            f"{ADDRESS}country",
            "Country",
            "country countrycode land pays pais paese landcode landercode",
            "Address",
            "A code such as GB, or a name.",
        ),
        *[
            _target(
                f"{CONSENT}{channel.value}",
                f"May be sent marketing by {'e-mail' if channel == Channel.EMAIL else channel.label}",
                _CONSENTS[channel.value],
                "Consent",
                "yes or no. A no is taken over from everybody, a yes from new customers alone.",
            )
            for channel in Channel
        ],
    )
}
# From the most telling: of two columns that could be the phone, "mobile phone" of the first rank is it.
_BY_WORD = {word: target.name for target in TARGETS.values() for word in target.words}


def word_of(header: str) -> str:
    """A column's name as words are compared: "E-Mail" and "e_mail" are one, "Größe" is "grosse"."""
    decomposed = unicodedata.normalize("NFKD", header.casefold())
    return "".join(c for c in decomposed if c.isalnum() and not unicodedata.combining(c))


def guess(header: str) -> str | None:
    """The name of the target that a column's name speaks of, None when it is not known."""
    word = word_of(header)
    found = _BY_WORD.get(word)
    if found is None and "." in header and header in TARGETS:
        return header
    if found is None and header.startswith(METADATA) and is_target(header):
        return header
    if found is None:
        # "Customer E-Mail (private)", "billing city": the words around say whose it is, not what.
        for around in (
            "customer",
            "kunden",
            "contact",
            "billing",
            "default",
            "primary",
            "member",
            "address",
            "client",
        ):
            stripped = word.removeprefix(around)
            if stripped != word and stripped in _BY_WORD:
                return _BY_WORD[stripped]
    return found


def is_target(name: str) -> bool:
    """Whether this is one of TARGETS, or a key of metadata."""
    if name in TARGETS:
        return True
    key = name.removeprefix(METADATA)
    return key != name and len(key) <= METADATA_KEY_CHARS_MAX and _METADATA_KEY.fullmatch(key) is not None


def title_of(name: str) -> str:
    """What a target is called on a page."""
    target = TARGETS.get(name)
    return target.title if target else f"Own field “{name.removeprefix(METADATA)}”"


def metadata_name(header: str) -> str:
    """A target of metadata by a column's name: "Shoe size" is metadata.shoe_size. "" when nothing is left of it."""
    folded = unicodedata.normalize("NFKD", header)
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    key = "_".join(re.findall(r"[A-Za-z0-9]+", plain)).lower()[:METADATA_KEY_CHARS_MAX]
    return f"{METADATA}{key}" if key else ""
