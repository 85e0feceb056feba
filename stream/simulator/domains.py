"""What a simulated inspection is made of, in physical units, and named presets that really differ."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas import Probe, View

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

SHEAR_STEEL = 3230.0
LONGITUDINAL_STEEL = 5900.0
LONGITUDINAL_AUSTENITIC = 5750.0


class DomainSpec(BaseModel):
    """One kind of inspection: frames simulated from it share one distribution.

    Amplitudes are in dB relative to the reference reflector (a 1.5 mm
    side-drilled hole without loss).

    Attributes
    ----------
    name : str
        For people.
    procedure, material : str, str
        As in :class:`schemas.Frame`; with the probe they name the domain.
    probe : Probe
        The array.
    pitch_mm, aperture_elements : float, int
        Element pitch and the elements that fire together.
    bandwidth : float
        -6 dB bandwidth of the pulse over the centre frequency.
    view : View
        S-scan (sector from one index point) or B-scan (one angle, the
        aperture stepped along the array).
    angle_min_deg, angle_max_deg : float
        Steering range in the metal; a B-scan steers to the middle of it.
    velocity_m_s : float
        Of the wave used, shear or longitudinal.
    legs : {1, 2}
        1 shows sound that comes straight from the probe, 2 also what went by
        the back wall.
    wall_mm : float
        Wall thickness.
    index_offset_mm : float
        From the probe's index point to the weld's centre line.
    width_mm : float
        Width of the image, centred on the weld.
    bevel_deg, root_gap_mm, cap_height_mm : float
        Weld preparation: bevel angle from the vertical, gap at the root, and
        reinforcement of the cap.
    attenuation_db_mm : float
        One way, at the probe's frequency.
    tgc_db_mm : float
        Time-corrected gain per mm of sound path (one way).
    grain_noise_db, weld_noise_db : float
        Mean-square backscatter of the base metal, and how much more the weld
        metal scatters.
    grain_clustering : float
        Variance of the local scattering strength: 0 is fully developed
        (Rayleigh) speckle, coarse columnar grain is near 1.
    electronic_noise_db : float
        Receiver noise before gain.
    geometry_db : float
        Strength of root and cap echoes.
    back_wall_db : float
        Scatter of the rough back wall.
    coupling_db : float
        Standard deviation of the coupling along the weld and across beams.
    reverberation_db : float
        Echoes inside the wedge, at the shortest sound paths.
    gain_db : float
        Receiver gain; at 40 dB the reference reflector reads half of full scale.
    display : {"linear", "log"}
        How amplitude becomes a pixel.
    dynamic_range_db : float
        What a logarithmic display spans.
    dtype : {"uint8", "uint16"}
        Sample type.
    step_mm : float
        Between frames, along the weld.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    procedure: str
    material: str
    probe: Probe
    pitch_mm: Positive = 0.6
    aperture_elements: Annotated[int, Field(ge=4)] = 16
    bandwidth: Annotated[float, Field(gt=0.1, le=1.5)] = 0.6
    view: Literal[View.S_SCAN, View.B_SCAN] = View.S_SCAN
    angle_min_deg: Annotated[float, Field(ge=-75, lt=75)] = 38.0
    angle_max_deg: Annotated[float, Field(gt=-75, le=80)] = 72.0
    velocity_m_s: Positive = SHEAR_STEEL
    legs: Literal[1, 2] = 2
    wall_mm: Positive = 12.0
    index_offset_mm: float = 18.0
    width_mm: Positive = 36.0
    bevel_deg: Annotated[float, Field(ge=0, le=60)] = 30.0
    root_gap_mm: NotNegative = 2.0
    cap_height_mm: NotNegative = 1.5
    attenuation_db_mm: NotNegative = 0.02
    tgc_db_mm: NotNegative = 0.03
    grain_noise_db: float = -30.0
    weld_noise_db: float = 3.0
    grain_clustering: Annotated[float, Field(ge=0, le=4)] = 0.0
    electronic_noise_db: float = -44.0
    geometry_db: float = -3.0
    back_wall_db: float = -18.0
    coupling_db: NotNegative = 0.5
    reverberation_db: float = -6.0
    gain_db: float = 40.0
    display: Literal["linear", "log"] = "linear"
    dynamic_range_db: Positive = 40.0
    dtype: Literal["uint8", "uint16"] = "uint8"
    step_mm: Positive = 1.5

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.angle_min_deg >= self.angle_max_deg:
            raise ValueError("angle_min_deg must be below angle_max_deg")
        if self.aperture_elements > self.probe.elements:
            raise ValueError("the aperture has more elements than the probe")
        return self

    @property
    def wavelength_mm(self) -> float:
        """Wavelength at the centre frequency in mm."""
        return self.velocity_m_s / self.probe.frequency_mhz * 1e-3

    @property
    def aperture_mm(self) -> float:
        """Active aperture in mm."""
        return self.aperture_elements * self.pitch_mm

    @property
    def depth_mm(self) -> float:
        """Depth that the image shows in mm: the legs unfolded, and a little more."""
        return self.wall_mm * self.legs + max(0.15 * self.wall_mm, 3.0)


DOMAINS: tuple[DomainSpec, ...] = (
    DomainSpec(
        name="carbon steel, 5 MHz shear sector",
        procedure="PA-S-01",
        material="carbon steel",
        probe=Probe(model="5L32-A31", frequency_mhz=5.0, elements=32),
        angle_max_deg=74,
        grain_noise_db=-28,
        gain_db=46,
    ),
    DomainSpec(
        name="heavy wall, 2.25 MHz shear sector",
        procedure="PA-S-02",
        material="carbon steel heavy wall",
        probe=Probe(model="2.25L16-A2", frequency_mhz=2.25, elements=16),
        pitch_mm=1.0,
        bandwidth=0.5,
        angle_min_deg=35,
        angle_max_deg=70,
        wall_mm=30,
        index_offset_mm=45,
        width_mm=88,
        bevel_deg=20,
        root_gap_mm=3,
        cap_height_mm=3,
        attenuation_db_mm=0.01,
        tgc_db_mm=0.012,
        grain_noise_db=-28,
        weld_noise_db=2,
        electronic_noise_db=-36,
        display="log",
        dynamic_range_db=36,
        gain_db=42,
        step_mm=2.0,
    ),
    DomainSpec(
        name="thin wall, 10 MHz shear sector",
        procedure="PA-S-05",
        material="duplex thin wall",
        probe=Probe(model="10L32-A10", frequency_mhz=10.0, elements=32),
        pitch_mm=0.31,
        bandwidth=0.8,
        angle_min_deg=45,
        angle_max_deg=76,
        wall_mm=8,
        index_offset_mm=13,
        width_mm=26,
        bevel_deg=37,
        root_gap_mm=1.5,
        cap_height_mm=1,
        attenuation_db_mm=0.10,
        tgc_db_mm=0.08,
        grain_noise_db=-32,
        weld_noise_db=4,
        grain_clustering=0.3,
        geometry_db=-1,
        coupling_db=1.5,
        display="log",
        dynamic_range_db=48,
        dtype="uint16",
        gain_db=38,
        step_mm=1.0,
    ),
    DomainSpec(
        name="poor coupling and high gain, 4 MHz linear scan",
        procedure="PA-E-04",
        material="cast steel painted",
        probe=Probe(model="4L64-NW1", frequency_mhz=4.0, elements=64),
        pitch_mm=0.5,
        aperture_elements=32,
        bandwidth=0.45,
        view=View.B_SCAN,
        angle_min_deg=50,
        angle_max_deg=60,
        wall_mm=16,
        index_offset_mm=30,
        width_mm=44,
        bevel_deg=35,
        attenuation_db_mm=0.05,
        tgc_db_mm=0.04,
        grain_noise_db=-28,
        weld_noise_db=-2,
        electronic_noise_db=-36,
        geometry_db=2,
        back_wall_db=-8,
        coupling_db=4,
        reverberation_db=4,
        gain_db=46,
    ),
    DomainSpec(
        name="austenitic, 2.25 MHz longitudinal sector",
        procedure="PA-L-03",
        material="austenitic 304L",
        probe=Probe(model="2.25DM7x4", frequency_mhz=2.25, elements=28),
        pitch_mm=1.1,
        aperture_elements=20,
        bandwidth=0.7,
        angle_min_deg=25,
        angle_max_deg=74,
        velocity_m_s=LONGITUDINAL_AUSTENITIC,
        legs=1,
        wall_mm=25,
        index_offset_mm=27,
        width_mm=50,
        bevel_deg=25,
        attenuation_db_mm=0.12,
        tgc_db_mm=0.10,
        grain_noise_db=-19,
        weld_noise_db=5,
        grain_clustering=0.8,
        geometry_db=0,
        back_wall_db=-9,
        dtype="uint16",
        gain_db=44,
    ),
)
"""Five inspections in an order in which a plant may meet them; the first is the easy baseline."""
