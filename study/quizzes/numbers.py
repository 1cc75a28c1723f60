"""Reads numbers and units as people write them."""

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

DIGITS_MAX = 60
_EXPONENT_MAX = 40

_NUMBER = re.compile(
    rf"(?P<sign>[-+])?(?:(?P<whole>[0-9][0-9 ,.'_]{{0,{DIGITS_MAX}}}(?<![ ,.'_])|\.[0-9]{{1,{DIGITS_MAX}}}))"
    r"(?:[eE](?P<e>[-+]?[0-9]{1,3})(?![0-9A-Za-z])|\^(?P<power>[-+]?[0-9]{1,3})(?![0-9])"
    r"|/(?P<below>[0-9]{1,9})(?![0-9/.,]))?"
)
_GROUPED = re.compile(r"[0-9]{1,3}(?:[ '_][0-9]{3})+(?:[.,][0-9]+)?")
_ONE_KIND = {
    mark: re.compile(rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{2,3}})*{re.escape(mark)}[0-9]{{3}}") for mark in ".,"
}


class Number(NamedTuple):
    """A number's value, and its number of decimals."""

    value: Fraction
    decimals: int
    end: int
    """Its end position in the text."""


def read_number(text: str, at: int, *, decimal: str) -> Number | None:
    """Read the number at a position of a folded text; None if there is none.

    ``decimal`` matters only for ``1.000``: ``1.5`` and ``1,5``, ``1.000.000`` and ``1.000,5`` have only one reading.
    Digits after a leading zero (``007``) are a code, not a number; so is text with several marks that do not separate
    thousands (``1.2.3``, a version or a date).
    """
    found = _NUMBER.match(text, at)
    if found is None:
        return None
    digits, end = found["whole"], found.end()
    if " " in digits and not _GROUPED.fullmatch(digits):
        # In "5 6", the second is a separate number.
        digits = digits.partition(" ")[0].rstrip(",.'_")
        end = found.start("whole") + len(digits)
        found = _NUMBER.fullmatch(text, at, end)
        if found is None:
            return None
    read = _read(digits, decimal)
    if read is None:
        return None
    value, decimals = read
    if exponent := found["e"]:
        if abs(int(exponent)) > _EXPONENT_MAX:
            return None
        value *= Fraction(10) ** int(exponent)
    elif power := found["power"]:
        # Only "10^3" and the like; people do not write out other powers as numbers.
        if value != 10 or abs(int(power)) > _EXPONENT_MAX:
            return None
        value = Fraction(10) ** int(power)
    elif below := found["below"]:
        lowest = Fraction(value, int(below)) if int(below) > 1 and value.denominator == 1 else None
        if lowest is None or lowest.denominator != int(below):
            return None  # "6/8" is a metre, not three quarters
        value = lowest
    return Number(-value if found["sign"] == "-" else value, decimals, end)


def _read(digits: str, decimal: str) -> tuple[Fraction, int] | None:
    if len(digits) > DIGITS_MAX:
        return None
    if any(mark in digits for mark in " '_"):
        if not _GROUPED.fullmatch(digits):
            return None
        digits = re.sub("[ '_]", "", digits)
        return _plain(digits.replace(",", "."))
    commas, points = digits.count(","), digits.count(".")
    if commas and points:
        last = max(digits.rfind(","), digits.rfind("."))
        grouping = "." if digits[last] == "," else ","
        whole = digits[:last]
        if digits.count(digits[last]) > 1 or not _ONE_KIND[grouping].fullmatch(whole):
            return None
        return _plain(whole.replace(grouping, "") + "." + digits[last + 1 :])
    mark = "," if commas else "."
    count = commas + points
    if count == 0:
        return _plain(digits)
    could_group = _ONE_KIND[mark].fullmatch(digits) is not None and not digits.startswith("0")
    if count > 1:
        return _plain(digits.replace(mark, "")) if could_group else None
    if could_group and mark != decimal:
        return _plain(digits.replace(mark, ""))
    return _plain(digits.replace(mark, "."))


def _plain(digits: str) -> tuple[Fraction, int] | None:
    whole, _, decimals = digits.partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        return None
    return Fraction(digits if whole else f"0{digits}"), len(decimals)


def _units(lines: str) -> dict[str, str]:
    return {name: names.split()[0] for names in lines.strip().splitlines() for name in names.split()}


UNITS = _units(
    """
    km kilometer kilometers kilometre kilometres kilomètre kilomètres kilómetro kilómetros
    m meter meters metre metres mètre mètres metro metros metern
    dm decimeter dezimeter
    cm centimeter centimeters centimetre centimetres zentimeter centimètre
    mm millimeter millimeters millimetre millimetres millimètre
    μm micrometer micrometers micrometre mikrometer
    nm nanometer nanometers nanometre nanometres
    kg kilogram kilograms kilogramme kilogramm kilo kilos
    g gram grams gramme gramm grammes gramo gramos
    mg milligram milligrams milligramm
    μg microgram micrograms mikrogramm
    t tonne tonnes tonnen
    l L liter liters litre litres litro litros litern
    ml milliliter milliliters millilitre millilitres
    s sec second seconds sekunde sekunden seconde secondes segundo segundos
    ms millisecond milliseconds millisekunde millisekunden
    min minute minutes minuten minuto minutos
    h hr hour hours stunde stunden heure heures hora horas
    d day days tag tage tagen jour jours día días
    year years jahr jahre jahren ans année années año años
    % percent prozent pourcent
    ‰ promille
    °C °c celsius
    °F °f fahrenheit
    K kelvin
    ° degree degrees grad
    N newton newtons
    J joule joules
    kJ kilojoule kilojoules
    cal calorie calories kalorien
    kcal kilocalorie kilocalories kilokalorien
    W watt watts
    kW kilowatt kilowatts
    MW megawatt megawatts
    mW milliwatt milliwatts
    V volt volts
    A ampere amperes amp amps
    mA milliampere
    Ω ohm ohms
    Hz hertz
    kHz kilohertz
    MHz megahertz
    GHz gigahertz
    Pa pascal pascals
    kPa kilopascal
    hPa hectopascal hektopascal
    bar bars
    mol mole moles
    mmol millimole millimoles
    eV electronvolt elektronenvolt
    B byte bytes
    kB kilobyte kilobytes
    MB megabyte megabytes
    GB gigabyte gigabytes
    TB terabyte terabytes
    KiB kibibyte
    MiB mebibyte
    GiB gibibyte
    bit bits
    € eur euro euros
    $ usd dollar dollars
    £ gbp
    ¥ jpy yen
    m/s
    km/h kmh kph
    m^2 m2 qm
    km^2 km2 qkm
    cm^2 cm2
    m^3 m3
    cm^3 cm3
    """
)
"""Spellings of units, each with its unit. Units are not converted: number and unit must both match."""

_FOLDED: dict[str, set[str]] = {}
for _name, _unit in UNITS.items():
    _FOLDED.setdefault(_name.casefold(), set()).add(_unit)

_AFTER = re.compile(r" ?(?P<unit>[^\s\d,;.!?()\[\]]{1,20}(?:\^[0-9])?[0-9]?)(?![\w^])")


def read_unit(text: str, at: int) -> tuple[str, int] | None:
    """Read the unit directly after a number, with its end position.

    Case counts where it distinguishes units (``mW``, ``MW``) and in single letters, not elsewhere (``KG``).
    """
    found = _AFTER.match(text, at)
    if found is None:
        return None
    written = unicodedata.normalize("NFC", found["unit"]).replace("\u00b5", "μ").replace("º", "°")
    unit = UNITS.get(written)
    if unit is None and len(written) > 1:
        candidates = _FOLDED.get(written.casefold(), set())
        unit = next(iter(candidates)) if len(candidates) == 1 else None
    return None if unit is None else (unit, found.end())
